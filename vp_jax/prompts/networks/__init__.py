"""Small networks that make prompts of images or features."""
