"""Requests over HTTP, read strictly: what nobody knows is refused; and what a client takes: encodings, tags.

Knows none of the apps.
"""
