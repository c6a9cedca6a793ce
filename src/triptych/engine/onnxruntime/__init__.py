"""The ONNX Runtime engine: a weightless graph with the checkpoint's mapped weights."""
