"""A classifier behind HTTP: batches of many requests, limits, the page, metrics, processes."""
