"""What other apps and the edge may ask of the write side."""
