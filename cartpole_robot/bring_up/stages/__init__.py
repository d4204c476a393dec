"""The stages of a bring-up, a module each."""
