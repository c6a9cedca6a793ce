"""Train the demo checkpoint: a tiny Stable Diffusion that paints flat shapes, on two CPU cores."""
