"""Many resumable runs: studies of the learner, maps of where a policy falls."""
