"""TensorRT on NVIDIA GPUs: strongly typed engines whose weights can be exchanged without a rebuild.

What needs no GPU is plain Python, each in a module of its own: `precision` and `targets` (the graph), `external` (its
weights), `profiles` (its sizes), `plan` and `keys` (which engine to build, and its name in the cache), `probe` (is it
right). `api` holds the little that differs between TensorRT 10 and 11; `builder`, `session` and `refitter` call it,
`making` brings an engine into the cache, and `engine` brings all together.
"""
