"""The front door: HTTP for people's tools, and a page; a client of `triptych.v1` and nothing else."""
