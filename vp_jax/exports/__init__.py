"""What was trained, in forms that others can use: one file a form."""
