"""The MLflow interface of the workspace, as azureml-mlflow and other clients use it: another view of the same runs."""
