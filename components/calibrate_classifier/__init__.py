"""Fit and calibrate the training and the audit classifier."""
