"""What views declare, against the URLconf and against the words that there are."""

from typing import Any

from django.urls import get_resolver
from rest_framework.settings import api_settings

from marketdata_project.anonymous_clients import PUBLIC_VIEWS
from ratelimit.access.scopes import SCOPES, SENSITIVITIES
from ratelimit.authorize import HasAccess
from tests.ratelimit.access.urlconf import ACCESS, endpoints, routes
from web.endpoints import ANY_CALLER, ANYBODY, AUDIT_CLASSES, KINDS, READ, access_of


def test_every_view_is_an_endpoint_or_declared_to_be_public():
    assert [route.pattern for route in endpoints() if not hasattr(route.view, "cls")] == []
    assert {route.name for route in routes()} >= PUBLIC_VIEWS


def test_the_walk_finds_views_that_are_neither():
    site = routes(get_resolver("tests.ratelimit.access.accounts_site"))
    declared = {name for name, _method in ACCESS}
    found = {route.name for route in site} - declared - PUBLIC_VIEWS
    assert found == {"owned-account", "open", "plain", "undeclared", "page", None}


def test_views_declare_their_own_handlers_only():
    for route in endpoints():
        assert [name for name in route.view.cls.access if not hasattr(route.view.cls, name)] == []


def test_every_endpoint_is_guarded():
    assert list[Any](api_settings.DEFAULT_PERMISSION_CLASSES) == [HasAccess]
    for route in endpoints():
        assert route.view.cls.permission_classes == [HasAccess], route.pattern


def test_public_views_declare_nothing():
    public = [route for route in routes() if route.name in PUBLIC_VIEWS]
    assert [route.name for route in public if access_of(route.view, "GET") is not None] == []


def test_what_is_declared_has_known_values():
    for endpoint, access in ACCESS.items():
        assert access.scope in {*SCOPES, ANYBODY, ANY_CALLER}, endpoint
        assert access.or_scope in {"", *SCOPES}, endpoint
        assert access.sensitivity in SENSITIVITIES, endpoint
        assert access.kind in KINDS, endpoint
        assert (access.kind == READ) == (endpoint[1] == "GET"), endpoint
        assert access.audit_class in {"", *AUDIT_CLASSES}, endpoint
        assert not (access.scope == ANYBODY and access.account), endpoint
