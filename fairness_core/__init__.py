"""Align text-to-image diffusion models to a chosen distribution of perceived attributes."""

__version__ = "0.1.0"
