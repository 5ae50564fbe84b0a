"""What a batch of rows must be, whatever format it came in."""
