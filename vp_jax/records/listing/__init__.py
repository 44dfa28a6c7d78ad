"""The runs below a folder, as far as can be told without a change to them."""
