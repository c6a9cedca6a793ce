"""What benchmarks and `triptych gpu-check` share: random checkpoints and LoRAs, and the sides that need torch.

Those run in processes of their own, so that whoever measures holds no memory of theirs.
"""
