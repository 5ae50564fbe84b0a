"""The web front: from a connection's bytes to a request for Django, and back."""
