"""What an operator has done to every picture that is drawn, before it goes out."""
