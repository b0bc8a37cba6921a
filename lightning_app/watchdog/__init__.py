"""Stops all processes of a training when one of them fails, is killed, hangs or becomes unreachable, and reports why.

A small process, the agent, runs beside each training process. The training can't block it, and it survives when the
training is killed. All agents report to the coordinator, which runs in the agent of rank 0, decides and notifies all.
"""
