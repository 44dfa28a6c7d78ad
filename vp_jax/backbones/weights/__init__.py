"""Weight files: found, read, told apart, and converted by declarative tables."""
