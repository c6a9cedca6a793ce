"""What is asked for, checked, and whose turn it is."""
