"""Validates batches of rows, from any body format."""
