"""Rows as they were stored."""
