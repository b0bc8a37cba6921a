"""Ends all processes of a training when one of them fails, dies, hangs or can't be reached, and says which and why.

Beside each training process runs a small one, its agent, which the training can neither block nor take along when it
is killed. The agents tell that of rank 0 how their processes are; it decides, and tells all.
"""
