"""Copies of logs between stores, commit by commit, byte by byte."""
