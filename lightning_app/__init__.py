"""The training program: a command line over Lightning, and the folder that a run leaves."""
