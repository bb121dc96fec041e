"""Painted and translated slices as datasets, and what they are worth."""
