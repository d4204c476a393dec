"""Deployment of a policy on a cart in real time: the run, its display, and what is saved when it fails."""
