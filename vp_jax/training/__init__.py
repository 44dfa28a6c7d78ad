"""Training: feeds, loops over members, evaluation, and what is fitted before and after steps."""
