"""Writes rows of any dataset in the client's format."""
