"""Exported models: ONNX and torch.export."""
