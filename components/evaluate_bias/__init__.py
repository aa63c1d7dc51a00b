"""Measure base and aligned."""
