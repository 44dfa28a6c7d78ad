"""Runs that belong together: members of a sweep, tasks of a start."""
