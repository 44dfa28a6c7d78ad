"""What is fitted without steps: heads, mappings, centroids and temperatures, and the features."""
