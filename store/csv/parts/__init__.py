"""Commit records and the parts of data files that they name."""
