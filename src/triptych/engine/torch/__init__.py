"""PyTorch's engine, compiled and recorded on a GPU."""
