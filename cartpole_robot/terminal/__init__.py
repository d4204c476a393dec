"""The terminal: progress bars and Ctrl-C."""
