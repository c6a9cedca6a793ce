"""What pictures say, and how others call what is here, the same to those who write and to those who read."""
