"""Who shares a call of the UNet stage."""
