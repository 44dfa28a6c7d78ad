"""Vision transformers that classify: module, sizes, weight tables."""
