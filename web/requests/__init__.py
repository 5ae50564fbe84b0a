"""Parses requests strictly (bodies, parameters, client addresses); compresses answers and makes their entity tags.

Unknown parameters and fields are refused, not ignored.
"""
