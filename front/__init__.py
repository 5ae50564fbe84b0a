"""The web front: turns a connection's bytes into requests for Django, and sends the answers."""
