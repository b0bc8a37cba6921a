"""The way of a run's metrics and charts: into the run folder, and from there to Azure ML by a process of its own."""
