"""Splits, and the order in which their examples come."""
