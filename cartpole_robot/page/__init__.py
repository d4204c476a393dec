"""A page that shows a cart: simulated in it, or a running one."""
