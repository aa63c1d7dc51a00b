"""Look at the images of base, aligned and baselines."""
