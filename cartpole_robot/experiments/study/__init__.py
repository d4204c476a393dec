"""Studies: trainings with varied configuration fields and many seeds, with tables and a figure."""
