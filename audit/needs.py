"""Functions and values of higher apps that the audit log needs; they are provided at start-up."""

from collections.abc import Callable
from typing import NamedTuple

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ops.needs import Need


class CallClass(NamedTuple):
    """The audit class of a call, or "". audit_first: it is recorded in the database before it is answered."""

    name: str = ""
    audit_first: bool = False


CLASS_OF_CALL: Need[Callable[[str | None, str], CallClass]] = Need("audit.needs.CLASS_OF_CALL")
"""Returns the audit class of a call, by URL name and method."""

RECORDED_NAMES: Need[frozenset[str]] = Need("audit.needs.RECORDED_NAMES")
"""The names of the API's query parameters and body fields. Their values are recorded; all other values are masked."""

PROBLEM_ANSWER: Need[Callable[[Exception], HttpResponseBase]] = Need("audit.needs.PROBLEM_ANSWER")
"""Makes the answer for an error with which the audit log refuses a call."""

PERSON_MAY: Need[Callable[[HttpRequest, str, str], bool]] = Need("audit.needs.PERSON_MAY")
"""Returns whether the user of a request's session may call the endpoint with this URL name and method."""
