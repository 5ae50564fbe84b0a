"""Rows of any dataset as the bytes that a client asked for."""
