"""Measurements of the training, each paired with what it is compared with: ``python -m benchmarks.NAME``."""
