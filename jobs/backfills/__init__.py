"""Filling gaps from other sources."""
