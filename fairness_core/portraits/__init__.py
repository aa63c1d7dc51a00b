"""The embedded world: drawn portraits with a planted, known bias."""
