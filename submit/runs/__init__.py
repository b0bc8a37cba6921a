"""Runs that were sent: looked at, followed, ended, and what came of them."""
