"""Graphs of one architecture made into others over the same weights: nothing is exported for them, no name changes."""
