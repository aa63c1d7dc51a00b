"""Audit any model or folder of images."""
