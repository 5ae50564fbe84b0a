"""Reads accounts: status, performance, and the documents of rows."""
