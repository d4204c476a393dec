"""A page that shows a cart: simulated in it by the real firmware as WebAssembly, or a running one."""
