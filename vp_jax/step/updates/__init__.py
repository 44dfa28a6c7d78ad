"""From gradients to changes: transformations, optimisers, rates, schedules, means over steps."""
