"""Deployments: an exported model behind a managed online endpoint; what is sent, whatever the SDK."""
