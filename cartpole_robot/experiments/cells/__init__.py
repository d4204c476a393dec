"""Many resumable runs of cells, on processes of this machine or on a Ray cluster."""
