"""Along which axes a sample's picture tiles: there the convolutions wrap around, where else they pad with zeros."""

from __future__ import annotations

# None, the width, the height, both; a tensor has their places here.
AXES = ("", "x", "y", "xy")
