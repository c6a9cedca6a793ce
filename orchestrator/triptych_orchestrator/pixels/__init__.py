"""Arithmetic on pictures and masks, as PIL images; it knows no request and no stage."""
