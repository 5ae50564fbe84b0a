"""What the audit log needs of rooms that it does not know."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from needs import Need

CLASS_OF_CALL: Need[Callable[[str | None, str], str]] = Need("audit.needs.CLASS_OF_CALL")
"""By URL name and method: the class of calls that are recorded before they are answered; "" of all others."""

RECORDED_NAMES: Need[frozenset[str]] = Need("audit.needs.RECORDED_NAMES")
"""The query parameters and body fields that the API declares: their values are recorded, all others masked."""

PROBLEM_ANSWER: Need[Callable[[Exception], HttpResponseBase]] = Need("audit.needs.PROBLEM_ANSWER")
"""The answer to a call that the audit log refuses, by its error."""

PERSON_MAY: Need[Callable[[HttpRequest, str, str], bool]] = Need("audit.needs.PERSON_MAY")
"""Whether the person of a page's session may call an endpoint, by its URL name and a method."""
