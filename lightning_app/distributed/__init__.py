"""Processes of one training on one node or many: who started them, and what Lightning makes of them.

``AzureMLEnvironment`` is in ``lightning_app.distributed.environment``; all else here imports neither torch nor
Lightning, because a process asks for its place before it loads them.
"""
