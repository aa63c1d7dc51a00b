"""Step: what is done when a pipeline has ended, well or not."""
