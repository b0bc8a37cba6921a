"""``python -m lightning_app.doctor``: how this process was started, and what doesn't fit together.

Only ``devices``, ``network`` and ``storage`` look at the machine, and they are left out where a pasted dump is judged.
"""
