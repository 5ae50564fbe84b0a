"""Authentication: the credential of a request, and its caller."""
