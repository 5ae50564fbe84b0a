"""The roles by name: each grants what its table row says and what its purpose needs, and nothing unknown."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from ratelimit.access.denials import denial_of
from ratelimit.access.scopes import DIRECT, ROLES, SCOPES, SENSITIVITIES
from ratelimit.callers import Caller
from ratelimit.models import ApiKey
from tests.ratelimit.access.urlconf import ACCESS


def endpoints_of(name: str) -> set[tuple[str, str]]:
    role = ROLES[name]
    caller = Caller(
        identity="key:1",
        name=name,
        tier="default",
        rate=10,
        scopes=frozenset(role.scopes),
        sensitivity=role.sensitivity,
        accounts=frozenset({"*"}),
    )
    return {endpoint for endpoint, access in ACCESS.items() if denial_of(caller, access) is None}


def test_each_role_has_known_scopes_and_a_known_sensitivity():
    for role in ROLES.values():
        assert list(role.scopes) == [scope for scope in SCOPES if scope in role.scopes]
        assert role.sensitivity in SENSITIVITIES


def test_each_role_is_cleared_for_all_endpoints_of_its_scopes():
    for name, role in ROLES.items():
        endpoints = {endpoint for endpoint, access in ACCESS.items() if access.scope in role.scopes}
        assert endpoints <= endpoints_of(name), name


def test_everything_is_every_endpoint_but_for_orders_without_a_preview():
    direct = {endpoint for endpoint, access in ACCESS.items() if access.scope == DIRECT}
    assert direct
    assert endpoints_of("everything") == set(ACCESS) - direct
    assert not any(DIRECT in role.scopes for role in ROLES.values())


def test_a_reader_writes_nothing_and_an_auditor_reads_no_keys():
    assert ("trades-ingest", "POST") not in endpoints_of("reader")
    assert ("trades-ingest", "POST") in endpoints_of("feeder")
    assert ("keys", "GET") not in endpoints_of("auditor")
    assert ("audit", "GET") not in endpoints_of("keymaster")


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["reader", "everything"])
def test_a_key_is_made_of_a_role(name):
    call_command("apikey", "create", "x", "--role", name, "--json", stdout=StringIO())
    stored, role = ApiKey.objects.get(), ROLES[name]
    assert (tuple(stored.scopes), stored.sensitivity) == (role.scopes, role.sensitivity)


def test_scopes_are_given_by_a_role_or_one_by_one():
    with pytest.raises(CommandError, match="not allowed with argument --role"):
        call_command("apikey", "create", "x", "--role", "reader", "--scope", "risk:write")
