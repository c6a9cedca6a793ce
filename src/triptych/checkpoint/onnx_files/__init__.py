"""What an ONNX file holds, read and checked without loading its weights, and without the package onnx."""

from triptych.checkpoint.onnx_files.model import Model, Value, read_model

__all__ = ["Model", "Value", "read_model"]
