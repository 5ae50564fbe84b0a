"""Functions of higher apps that the audit log needs; they are provided at start-up."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from needs import Need

CLASS_OF_CALL: Need[Callable[[str | None, str], str]] = Need("audit.needs.CLASS_OF_CALL")
"""The audit class of a call, by URL name and method; "" for calls that are recorded in the spool."""

RECORDED_NAMES: Need[frozenset[str]] = Need("audit.needs.RECORDED_NAMES")
"""The query parameters and body fields that the API declares: their values are recorded, all others masked."""

PROBLEM_ANSWER: Need[Callable[[Exception], HttpResponseBase]] = Need("audit.needs.PROBLEM_ANSWER")
"""Makes the answer for an error with which the audit log refuses a call."""

PERSON_MAY: Need[Callable[[HttpRequest, str, str], bool]] = Need("audit.needs.PERSON_MAY")
"""Whether a session's user may call an endpoint, given by URL name and method."""
