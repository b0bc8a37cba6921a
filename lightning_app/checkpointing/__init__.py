"""Checkpoints of a run: writing and reading them, choosing the best one, and continuing from one exactly."""
