"""Command: the drawn world's base model against the truth planted in it."""
