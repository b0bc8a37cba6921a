"""``python -m lightning_app.doctor``: how this process was started, and which settings conflict with one another.

Only ``machine`` and ``network`` examine this machine; they aren't used for an environment that comes from a file.
"""
