"""What a ControlNet is to look at: a file of a request, prepared and brought to the size of what is drawn."""
