"""Step: align the base model's adapters to the target distribution."""
