"""Artifacts on disk: made once, listed and pruned."""
