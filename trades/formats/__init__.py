"""The formats that a batch may come in."""
