"""Corrections and cancels of stored trades."""
