"""Pipelines over the steps."""
