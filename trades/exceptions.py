"""What the write side refuses before the store is asked.

RequestError
├── InvalidValue          a query parameter is well-formed and names nothing we have
└── BatchRefused          the document is well-formed and its content is wrong; the caller must correct it

What may be wrong with the form of any request is in `http_requests.exceptions`. The store's own refusals are
in `store.exceptions`.
"""

from http_requests.exceptions import RequestError


class InvalidValue(RequestError):
    """A query parameter is well-formed, but its value is not one of those that exist. Correct it."""


class BatchRefused(RequestError):
    """The batch is well-formed, and at least one of its values is wrong. Nothing was stored. Correct it."""
