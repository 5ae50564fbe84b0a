"""Strict parsing of requests (bodies, parameters, client addresses), and encodings and entity tags of answers.

Unknown parameters and fields are refused, never ignored. Imports none of the apps.
"""
