"""What the audit log, which knows none of the other apps, is told by its settings."""

from django.http import HttpResponse

from marketdata_project.problems import problem_of
from ratelimit.access.table import access_of


def audit_class_of(url_name: str | None, method: str) -> str:
    """The class of calls that are recorded before they are answered; "" of all others."""
    access = access_of(url_name, method)
    return "" if access is None else access.audit_class


def problem_answer(error: Exception) -> HttpResponse:
    """The answer to a call that the audit log refuses."""
    return problem_of(error).response()
