"""Mirrors: the endpoints that copies of logs are read from, and the command that follows another installation's."""
