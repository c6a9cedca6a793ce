"""What it costs that weights can be exchanged, and to exchange them."""
