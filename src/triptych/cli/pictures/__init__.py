"""Prompts in, pictures out: the files of `generate` and `demo`."""
