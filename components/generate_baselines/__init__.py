"""Step: images of training-free methods, from the same noise as the base model's."""
