"""The facts of the registered tasks, family by family."""
