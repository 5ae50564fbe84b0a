"""Strict parsing of requests (bodies, parameters, client addresses), and encodings and entity tags of answers.

It refuses unknown parameters and fields instead of ignoring them. Imports none of the apps.
"""
