"""Trainings that are killed or stopped at random moments, and what is left of them in the end.

``make test-kills`` runs them: ``python -m tests.kills --help``.
"""
