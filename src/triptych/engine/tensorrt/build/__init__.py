"""Engines built, and kept."""
