"""The table of access against the URLconf, and each row against the words that there are."""

from collections import defaultdict
from typing import Any

from django.urls import get_resolver
from rest_framework.settings import api_settings

from marketdata_project.access_table import ACCESS, PUBLIC_VIEWS
from ratelimit.access.permissions import HasAccess
from ratelimit.access.scopes import SCOPES, SENSITIVITIES
from ratelimit.access.table import (
    ANY_CALLER,
    ANYBODY,
    AUDIT_CLASSES,
    KINDS,
    READ,
)
from tests.ratelimit.access.urlconf import endpoints, routes

NAMES = {name for name, _ in ACCESS}


def test_every_view_is_declared_to_be_an_endpoint_or_public():
    undeclared = [route.pattern for route in endpoints() if route.name not in NAMES]
    assert undeclared == []


def test_the_walk_finds_whatever_is_declared_nowhere():
    site = routes(get_resolver("tests.ratelimit.access.accounts_site"))
    found = {route.name for route in site} - NAMES - PUBLIC_VIEWS
    assert found == {"owned-account", "open", "plain", "undeclared", "page", None}


def declared_methods() -> set[tuple[str | None, str]]:
    return {(route.name, method) for route in endpoints() for method in route.implemented - {"HEAD"}}


def test_every_method_of_every_endpoint_has_a_row():
    assert declared_methods() - set(ACCESS) == set()


def test_every_row_is_a_method_of_an_endpoint():
    assert set(ACCESS) - declared_methods() == set()


def test_public_pages_exist_and_have_no_row():
    assert {route.name for route in routes()} >= PUBLIC_VIEWS
    assert not PUBLIC_VIEWS & NAMES


def test_one_name_is_one_endpoint():
    views = defaultdict(set)
    for route in endpoints():
        view = getattr(route.view, "cls", None) or route.view.view_class
        views[route.name].add((view, route.implemented))
    assert [name for name, found in views.items() if len(found) > 1] == []


def test_every_endpoint_is_guarded_by_the_table():
    assert list[Any](api_settings.DEFAULT_PERMISSION_CLASSES) == [HasAccess]
    for route in endpoints():
        assert route.view.cls.permission_classes == [HasAccess], route.pattern


def test_every_row_has_known_values():
    for endpoint, access in ACCESS.items():
        assert access.scope in {*SCOPES, ANYBODY, ANY_CALLER}, endpoint
        assert access.or_scope in {"", *SCOPES}, endpoint
        assert access.sensitivity in SENSITIVITIES, endpoint
        assert access.kind in KINDS, endpoint
        assert (access.kind == READ) == (endpoint[1] == "GET"), endpoint
        assert access.audit_class in {"", *AUDIT_CLASSES}, endpoint
        assert not (access.scope == ANYBODY and access.account), endpoint
