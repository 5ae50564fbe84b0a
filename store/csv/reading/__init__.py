"""Reads rows, bars and commits of one log, from derived files and the commits after them."""
