"""What a person at the terminal sees and presses: progress bars, Ctrl-C."""
