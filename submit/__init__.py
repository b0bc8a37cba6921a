"""What has to do with running the training program as an Azure ML job."""
