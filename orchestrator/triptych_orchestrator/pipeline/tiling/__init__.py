"""Large pictures in pieces: cut, and blended where the pieces overlap."""
