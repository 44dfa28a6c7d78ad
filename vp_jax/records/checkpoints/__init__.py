"""Checkpoints of what was trained: saved by orbax, verified when read, latest and best kept."""
