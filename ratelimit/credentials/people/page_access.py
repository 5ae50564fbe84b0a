"""May who is logged in see in the admin what an endpoint answers? The decision is the endpoint's own."""

from django.http import HttpRequest
from django.utils import timezone

from ratelimit.access.decision import may
from ratelimit.access.table import access_of
from ratelimit.credentials.people.grants import caller_of_person


def person_may(request: HttpRequest, url_name: str, method: str) -> bool:
    """Whether a session's person is granted what the endpoint's row asks for, from where the request comes.

    Pages ask for it beside Django's own permission, which knows neither scopes nor sensitivity, neither
    expiry nor networks.
    """
    caller = caller_of_person(request.user, credential="session", now=timezone.now())
    if caller is None or not caller.may_call_from(request.META.get("REMOTE_ADDR", "")):
        return False
    return may(caller, access_of(url_name, method)) is None
