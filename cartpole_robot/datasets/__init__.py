"""Recordings of others in, recordings of ours out: column maps, clocks, signs, CSV, Minari, pictures that move."""
