"""Rows of any dataset as bytes in the client's format."""
