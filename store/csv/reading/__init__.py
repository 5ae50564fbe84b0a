"""Rows and bars of one log, from derived files and from what came after them."""
