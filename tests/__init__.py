"""Tests of the commands, the training and the submission, by package."""
