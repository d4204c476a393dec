"""A cart that has just been built: what is wrong with it, and moving it by hand."""
