"""What a gateway keeps in its state folder: pictures, uploads, and the models that came by them."""
