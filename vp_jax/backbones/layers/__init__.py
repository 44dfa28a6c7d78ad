"""What image and text towers are made of."""
