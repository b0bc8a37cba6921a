"""Answers to pictures: over HTTP, and as the scoring code of Azure ML."""
