"""Training: the compiled step, the loops around it, and what a run keeps in its folder."""
