"""Several runs on one page: what each reached, and whether that is more than chance."""
