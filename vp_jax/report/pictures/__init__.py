"""Pictures in files: a prompt, curves, examples."""
