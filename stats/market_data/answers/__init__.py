"""Finished answers and streams of rows, of any dataset."""
