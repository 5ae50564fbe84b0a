"""Bars of one symbol at four intervals: the endpoint that came first."""
