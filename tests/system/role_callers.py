"""Credentials of every role, made in an installation: `python -m tests.system.role_callers` prints them as JSON."""

import django
import orjson

django.setup()

from django.conf import settings  # noqa: E402 Django's apps are there now
from django.test import Client  # noqa: E402

from tests.ratelimit.access.test_roles import ROLES, headers_of  # noqa: E402


def made() -> dict[str, dict[str, str]]:
    """The headers that a caller of each role sends, a session's cookie among them."""
    found = {}
    for number, (name, role) in enumerate(ROLES.items()):
        client = Client()
        headers = headers_of(role, client, person_name=f"person-{number}")
        cookie = client.cookies.get(settings.SESSION_COOKIE_NAME)
        if cookie is not None:
            headers["Cookie"] = f"{settings.SESSION_COOKIE_NAME}={cookie.value}"
        found[name] = headers
    return found


if __name__ == "__main__":
    print(orjson.dumps(made()).decode())  # noqa: T201 that is its answer
