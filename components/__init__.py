"""Pipeline steps: one folder each."""
