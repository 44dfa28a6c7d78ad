"""What the classes of a run are called, and their texts' features."""
