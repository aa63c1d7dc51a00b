"""Compare base and aligned."""
