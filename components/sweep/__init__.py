"""Sweep the sampler."""
