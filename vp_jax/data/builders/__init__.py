"""Datasets that this package makes itself, as TensorFlow Datasets builders."""
