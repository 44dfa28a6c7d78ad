"""Where something is on an image: regions, shapes, affine maps."""
