"""The endpoints that take batches."""
