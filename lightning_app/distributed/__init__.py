"""The processes of one training on one node or many: who started them, and how Lightning uses them.

``AzureMLEnvironment`` is in ``lightning_app.distributed.environment``. ``launch``, ``detect`` and ``checks`` import
neither torch nor Lightning, because a process detects its launch before it loads them.
"""
