"""What ``python -m lightning_app.doctor`` knows: pure functions over a process's variables, and facts of this machine.

Only ``devices``, ``network`` and ``storage`` look at the machine, and they are left out where a pasted dump is judged.
"""
