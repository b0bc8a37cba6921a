"""The way of a run's journal and charts to Azure ML, in a process of its own. Nothing here imports torch."""
