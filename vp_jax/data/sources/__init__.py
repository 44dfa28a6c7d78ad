"""Readers of datasets, one a format."""
