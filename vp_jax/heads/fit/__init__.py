"""What is fitted at once to features or logits, without a step: probes, and how good they are."""
