"""Authentication: finds and verifies a request's credential, and returns its caller."""
