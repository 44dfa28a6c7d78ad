"""Images: decoded, resized as the model sees them, cached."""
