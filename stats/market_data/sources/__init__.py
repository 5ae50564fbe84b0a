"""Rows with their positions, and pages of them, whatever they are rows of."""
