"""Judge a release."""
