"""What is trained, one module each."""
