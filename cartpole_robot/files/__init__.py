"""Files of this program: TOML records, run folders, new files, provenance."""
