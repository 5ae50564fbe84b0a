"""Reads accounts: status, performance, the documents of rows, and executions explained."""
