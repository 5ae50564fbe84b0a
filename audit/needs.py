"""Functions and values of higher apps that the audit log needs; they are provided at start-up."""

from collections.abc import Callable, Collection, Mapping

from django.http import HttpRequest

from ops.needs import Need
from web.endpoints import Access

PERSON_MAY: Need[Callable[[HttpRequest, Access], bool]] = Need("audit.needs.PERSON_MAY")
"""Returns whether the user of a request's session may make such calls."""

CALLER_NAMES: Need[Callable[[Collection[str]], Mapping[str, str]]] = Need("audit.needs.CALLER_NAMES")
"""Returns the names of callers such as key:12 and user:7, without those that are not known."""
