"""Every method of every endpoint by every role, through the whole stack; who is admitted is told by the table alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import orjson
import pytest
from django.test import Client
from django.urls import resolve
from django.utils import timezone

from ratelimit.access.scopes import SCOPES
from ratelimit.models import ApiKey
from tests.api_client import UNLIMITED, make_key
from tests.chance import SOAK
from tests.ratelimit.access.programs import token_of_a_program
from tests.ratelimit.access.urlconf import ACCESS, METHODS, Route, endpoints
from tests.ratelimit.credentials.logins import logged_in, person
from web.endpoints import Access

pytestmark = pytest.mark.system

Headers = dict[str, str]
# An answer, as far as it tells who was let in: status, code, and the scope or the sensitivity that is named.
Verdict = tuple[int, str, str]
ADMITTED: Verdict = (200, "", "")
GUARDS = {"not_authenticated", "missing_scope", "insufficient_sensitivity", "forbidden", "method_not_allowed"}
# Each call comes from elsewhere: whoever is not authenticated is limited by address.
ADDRESSES = count(1)


@dataclass(frozen=True)
class Role:
    """What a caller was granted. `refused` is the code with which the credential itself is refused."""

    scopes: tuple[str, ...] | None
    sensitivity: str = "confidential"
    refused: str = ""
    credential: str = "key"


ROLES = {
    "nobody": Role(None),
    "an expired key": Role(SCOPES, refused="expired_api_key"),
    "a revoked key": Role(SCOPES, refused="revoked_api_key"),
    **{f"only {scope}": Role((scope,)) for scope in SCOPES},
    **{f"all but {scope}": Role(tuple(each for each in SCOPES if each != scope)) for scope in SCOPES},
    "all, for public data": Role(SCOPES, "public"),
    "all, for internal data": Role(SCOPES, "internal"),
    "all": Role(SCOPES),
    "a person's token": Role(("market:read", "keys:manage"), "internal", credential="jwt"),
    "a program's token": Role(("market:write", "audit:read"), credential="oauth2"),
    "a superuser's session": Role(SCOPES, credential="superuser"),
    "a session of staff": Role(("market:read",), "public", credential="staff"),
    "a session of anybody else": Role(None, credential="person"),
}


def oracle(route: Route, method: str, role: Role) -> Verdict:
    """What the table says, read once more and by other code than the project's."""
    rows = {asked: access for (name, asked), access in ACCESS.items() if name == route.name}
    for_anybody = any(access.scope == "anybody" for access in rows.values())
    if not for_anybody and (role.refused or role.scopes is None):
        return 401, role.refused or "not_authenticated", ""
    if method not in route.implemented and method != "OPTIONS":
        return 405, "method_not_allowed", ""
    if method == "OPTIONS":
        return ADMITTED
    return granted(rows["GET" if method == "HEAD" else method], role)


def granted(access: Access, role: Role) -> Verdict:
    if access.scope in {"anybody", "any caller"}:
        return ADMITTED
    if not {access.scope, access.or_scope} & {*(role.scopes or ())}:
        return 403, "missing_scope", access.or_scope or access.scope
    order = ["public", "internal", "confidential"]
    if access.sensitivity in order[order.index(role.sensitivity) + 1 :]:
        return 403, "insufficient_sensitivity", access.sensitivity
    return ADMITTED


def key_of(role: Role) -> Headers:
    if role.scopes is None:
        return {}
    key = make_key(scopes=role.scopes, sensitivity=role.sensitivity)
    if role.refused:
        past = timezone.now() - timedelta(seconds=1)
        stored = ApiKey.objects.filter(prefix=key.split("_")[1])
        stored.update(**{"expires_at" if role.refused.startswith("expired") else "revoked_at": past})
    return {"X-API-Key": key}


def headers_of(role: Role, client: Client, *, person_name: str = "ada") -> Headers:
    """The credential of a role in headers, or in the session of the client."""
    granted: Any = {"scopes": role.scopes, "sensitivity": role.sensitivity, "rate": UNLIMITED}
    if role.credential == "key":
        return key_of(role)
    if role.credential == "jwt":
        person(person_name, **granted)
        return {"Authorization": f"Bearer {logged_in(person_name)['access']}"}
    if role.credential == "oauth2":
        return token_of_a_program(**granted)
    flags = {"superuser": {"is_staff": True, "is_superuser": True}, "staff": {"is_staff": True}}
    client.force_login(person(person_name, flags=flags.get(role.credential)))
    return {}


def called(client: Client, route: Route, method: str, headers: Headers) -> Any:
    number = next(ADDRESSES)
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return client.generic(method, route.path, b"", "application/json", headers=headers, REMOTE_ADDR=address)


def verdict(response: Any, method: str, expected: Verdict) -> Verdict:
    """What an answer tells; HEAD has no body, so that only its status can."""
    if method == "HEAD":
        told = {401, 403, 405} & {response.status_code}
        return expected if told == {expected[0]} - {200} else (response.status_code, "", "")
    if response.status_code < 400:
        return ADMITTED
    found = orjson.loads(b"".join(response))
    # In the errors of a dialect our code is the reason.
    code = found.get("reason") or found.get("code")
    if code not in GUARDS | {expected[1]}:
        return ADMITTED
    words = found.get("errmsg") or found.get("message") or found["error"]
    named = words.split()[-1] if response.status_code == 403 else ""
    return response.status_code, code, named


def walked(name: str) -> Iterable[Route]:
    """The endpoints that a role asks: in a soak all, at each of their paths; else a third of them, each by eleven roles.

    Whoever has no credential, or all scopes, asks all of them.
    """
    if SOAK:
        return endpoints()
    routes = [*{route.name: route for route in reversed(endpoints())}.values()]
    return routes if name in {"nobody", "all"} else routes[[*ROLES].index(name) % 3 :: 3]


def methods_of(name: str, route: Route) -> Sequence[str]:
    """The methods with which a role asks. Of those that a view lacks, the answer is the same for all that are admitted."""
    if SOAK or name in {"nobody", "all"}:
        return METHODS
    some = sorted(route.implemented)
    return some if ROLES[name].credential == "key" else some[:1]


def is_telling(name: str, expected: Verdict) -> bool:
    """Whether a short run asks: a role of one scope where it is admitted, one that lacks something where it is refused."""
    if SOAK or not name.startswith(("only ", "all but ", "all, for ")):
        return True
    return (expected == ADMITTED) == name.startswith("only ")


@pytest.mark.parametrize("name", ROLES)
def test_each_role_may_do_what_the_table_grants_and_nothing_else(api, settings, name):
    settings.TRADING_RATE = UNLIMITED
    settings.UDF_KEY = "no key"
    role, client = ROLES[name], Client()
    headers = headers_of(role, client)
    wrong = []
    for route in walked(name):
        for method in methods_of(name, route):
            expected = oracle(route, method, role)
            if not is_telling(name, expected):
                continue
            response = called(client, route, method, headers)
            found = verdict(response, method, expected)
            if found != expected:
                wrong.append((method, route.path, "expected", expected, "found", found))
    assert wrong == []


def test_the_walk_over_the_endpoints_reaches_them():
    for route in endpoints():
        assert resolve(route.path).url_name == route.name


def test_no_endpoint_is_for_all_roles_alike():
    """The oracle tells apart: each guarded endpoint admits somebody and refuses somebody who has other scopes."""
    for route in endpoints():
        for method in route.implemented - {"HEAD"}:
            verdicts = {oracle(route, method, role)[0] for role in ROLES.values()}
            guarded = ACCESS[route.name or "", method].scope not in {"anybody", "any caller"}
            assert verdicts >= ({200, 401, 403} if guarded else {200})
