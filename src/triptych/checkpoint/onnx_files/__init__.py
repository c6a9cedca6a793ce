"""What an ONNX file holds, read and checked without loading its weights, and without the package onnx."""

from triptych.checkpoint.onnx_files.model import Model, Value, read_model
from triptych.checkpoint.onnx_files.normalization import ToldNormalization, told_normalization

__all__ = ["Model", "ToldNormalization", "Value", "read_model", "told_normalization"]
