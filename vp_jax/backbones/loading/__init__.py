"""From a name and weights to a backbone."""
