"""The graph as TensorRT is to see it: typed, with profiles and weights."""
