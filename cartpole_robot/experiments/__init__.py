"""Resumable experiments of many runs: studies of the learner and stability maps of policies."""
