"""Performance measurements; `python -m benchmarks` says which there are."""
