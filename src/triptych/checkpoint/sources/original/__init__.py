"""Checkpoints in the layout of the original implementations (LDM, SGM), as single files have them."""
