"""The resource manager's interface to the workspace, which azure-ai-ml (SDK v2) uses."""
