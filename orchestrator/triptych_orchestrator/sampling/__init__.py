"""Arithmetic on latents: schedulers, noise, guidance and the loop; it knows no stage and no request."""
