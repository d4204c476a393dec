"""A page in one HTML file: the firmware, the plant and the controllers as WebAssembly, and what shows them."""
