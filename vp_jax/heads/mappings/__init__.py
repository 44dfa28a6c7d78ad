"""Output mappings: which of the backbone's own classes stand for those of the task."""
