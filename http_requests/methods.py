"""The methods of HTTP."""

# What changes nothing (RFC 9110, 9.2.1), of the methods that are answered here.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
