"""One part of a run, from its settings."""
