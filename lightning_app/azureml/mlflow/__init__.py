"""A run by the MLflow REST interface: in a job of Azure ML, or on any MLflow server. No client of MLflow is used."""
