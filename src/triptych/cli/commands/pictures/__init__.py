"""The commands that a picture is given to."""
