"""Fetches: jobs that bring rows from a source, and the list of sources and of their markets."""
