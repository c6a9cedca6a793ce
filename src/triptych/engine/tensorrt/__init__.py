"""TensorRT on NVIDIA GPUs: strongly typed engines whose weights can be exchanged without a rebuild.

What needs no GPU is plain Python, each in a module of its own: `precision` (the graph), `external` (its weights),
`profiles` and `extents` (its sizes), `plan` and `keys` (which engine to build, and its name in the cache), `probe` (is
it right), `padding` (which batches run as larger ones), `plain` (is an engine without open weights worth it). `api` holds
the little that differs between TensorRT 10 and 11; `builder` and its `monitor`, `session` and its `shape`, `refitter` and
its `device_weights` call it. `making` brings engines into the cache; `refittable` is one that runs, `pair` it and perhaps
a plain one, `beside` has more made in the `background` and `choice` measures them; `engine` brings all together.
"""
