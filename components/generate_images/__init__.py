"""Sample the images that the evaluation measures."""
