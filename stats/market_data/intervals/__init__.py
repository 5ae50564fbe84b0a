"""Grids of intervals, and the windows of ranges."""
