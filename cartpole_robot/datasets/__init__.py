"""Import of recordings made elsewhere (column maps, clocks, signs) and export to CSV, Minari and video."""
