"""What is measured of pictures of some kind."""
