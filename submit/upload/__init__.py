"""Uploads a folder of this machine to a blob container of the workspace."""
