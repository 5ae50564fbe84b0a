"""Appends to, verifies and prunes the chain of audit records in the database."""
