"""Generated from protos/triptych/v1; see tools/generate.py."""
