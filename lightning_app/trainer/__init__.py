"""The Trainer of a run, and this project's callbacks."""
