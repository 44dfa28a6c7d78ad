"""Folders, archives and arrays, read in place and at random."""
