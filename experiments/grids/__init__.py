"""Grids of runs: each module that `experiments.run` knows by name is one table's."""
