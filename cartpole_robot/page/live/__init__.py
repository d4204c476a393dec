"""The page as a live view of a running cart: a server on loopback, and the memory through which the loop feeds it."""
