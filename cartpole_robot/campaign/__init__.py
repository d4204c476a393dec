"""The campaign that tries to break the flashed firmware: every fault at random moments, and what came of each."""
