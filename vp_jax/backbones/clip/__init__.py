"""CLIP: both towers, sizes, tokenizer, weight tables."""
