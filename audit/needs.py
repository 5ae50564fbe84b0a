"""Functions and values of higher apps that the audit log needs; they are provided at start-up."""

from collections.abc import Callable

from django.http import HttpRequest

from ops.needs import Need
from web.endpoints import Access

RECORDED_NAMES: Need[frozenset[str]] = Need("audit.needs.RECORDED_NAMES")
"""The names of the API's query parameters and body fields. Their values are recorded; all other values are masked."""

PERSON_MAY: Need[Callable[[HttpRequest, Access], bool]] = Need("audit.needs.PERSON_MAY")
"""Returns whether the user of a request's session may make such calls."""
