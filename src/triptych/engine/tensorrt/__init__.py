"""TensorRT on NVIDIA GPUs: strongly typed engines whose weights can be exchanged without a rebuild.

What needs no GPU is plain Python, each in a module of its own: `network` is the graph as TensorRT is to see it, with
its weights and sizes; `build.plan` and `build.keys` say which engine to build, and its name in the cache; `probe`
asks whether it is right, `run.padding` which batches run as larger ones, `plain` whether an engine without open
weights is worth it. `api` holds the little that differs between TensorRT 10 and 11. `build.making` brings engines
into the cache; `refittable` is one that runs, `pair` it and perhaps a plain one, `beside` has more made in the
`background` and `choice` measures them; `engine` brings all together.
"""
