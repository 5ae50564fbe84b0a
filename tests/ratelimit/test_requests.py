"""Authentication, scopes, throttle and headers as a request meets them."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.urls import ResolverMatch, include, path
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView, exception_handler

from ratelimit.access.permissions import HasAccess
from ratelimit.access.table import ACCESS_TABLE, WRITE, Access, AccessTable
from ratelimit.credentials.authentication import CHALLENGE, CredentialAuthentication, SessionAuthentication
from ratelimit.keys.api_keys import generate
from ratelimit.keys.services import key_create
from ratelimit.models import ApiKey

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

# What pages for a browser link to.
urlpatterns = [path("", include("marketdata_project.urls"))]
ACCESS = {
    ("guarded", "GET"): Access("market:read"),
    ("guarded", "POST"): Access("market:write", kind=WRITE),
}


@pytest.fixture(autouse=True)
def _access_table():
    with ACCESS_TABLE.replaced(AccessTable(ACCESS)):
        yield


class Guarded(APIView):
    """As the project's settings guard a view; DRF's own handler makes the problems."""

    authentication_classes = [CredentialAuthentication, SessionAuthentication]
    permission_classes = [HasAccess]
    throttle_classes = []

    def get_exception_handler(self):
        return exception_handler

    def get(self, request):
        return Response(request.user.identity)

    def post(self, request):
        return Response(request.user.identity)


def made_key(**changes) -> str:
    values = {
        "name": "feed",
        "tier": "default",
        "scopes": ["market:read"],
        "now": timezone.now(),
        "actor": "test",
    }
    return key_create(**{**values, **changes}).key


def call(method="GET", view=Guarded, user=None, csrf=False, **headers):
    request = getattr(APIRequestFactory(enforce_csrf_checks=csrf), method.lower())("/", headers=headers)
    request.user = user or AnonymousUser()
    request.resolver_match = ResolverMatch(view, (), {}, url_name="guarded")
    return view.as_view()(request)


def code(response) -> str:
    return str(response.data["detail"].code)


def test_both_headers_authenticate():
    key = made_key()
    identity = f"key:{ApiKey.objects.get().pk}"
    assert call(authorization=f"Api-Key {key}").data == identity
    assert call(x_api_key=key).data == identity


def test_no_key_is_401_with_a_challenge():
    response = call()
    assert (response.status_code, code(response)) == (401, "not_authenticated")
    assert response["WWW-Authenticate"] == CHALLENGE


def test_bad_keys_are_401_with_codes_of_their_own():
    expired = made_key()
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    revoked = made_key(name="revoked")
    ApiKey.objects.filter(name="revoked").update(revoked_at=timezone.now())
    table = {
        "md_x": "invalid_api_key",
        generate().key: "invalid_api_key",
        expired: "expired_api_key",
        revoked: "revoked_api_key",
    }
    for key, expected in table.items():
        response = call(x_api_key=key)
        assert (response.status_code, code(response)) == (401, expected)
        assert response["WWW-Authenticate"] == CHALLENGE


def test_two_different_keys_are_401():
    response = call(authorization=f"Api-Key {made_key()}", x_api_key=made_key())
    assert (response.status_code, code(response)) == (401, "ambiguous_credentials")


def test_a_superuser_may_read_in_the_session():
    user = User.objects.create_superuser("ada")
    assert call(user=user).data == f"user:{user.pk}"


def test_a_session_needs_a_csrf_token_to_write():
    user = User.objects.create_superuser("ada")
    assert call("POST", user=user, csrf=True).status_code == 403
    assert call("POST", user=user, csrf=False).status_code == 200


def test_staff_see_the_browsable_api_under_their_name():
    class Browsable(Guarded):
        renderer_classes = [JSONRenderer, BrowsableAPIRenderer]

    user = User.objects.create_user("lovelace", is_staff=True)
    page = call(view=Browsable, user=user, accept="text/html").render().content.decode()
    assert "lovelace" in page
    assert f"user:{user.pk}" in page


@pytest.mark.parametrize("flags", [{}, {"is_staff": True, "is_active": False}], ids=["not staff", "inactive"])
def test_sessions_without_grants_have_no_caller(flags):
    assert call(user=User.objects.create_user("eve", **flags)).status_code == 401


def test_a_request_without_a_session_has_no_caller():
    request = APIRequestFactory().get("/")
    request.resolver_match = ResolverMatch(Guarded, (), {}, url_name="guarded")
    assert Guarded.as_view()(request).status_code == 401


def test_the_schema_offers_every_kind_of_credential():
    schema = SchemaGenerator(patterns=[path("api/v1/x", Guarded.as_view())]).get_schema(public=True)
    schemes = schema["components"]["securitySchemes"]
    assert {(scheme["in"], scheme["name"]) for scheme in schemes.values() if "in" in scheme} == {
        ("header", "Authorization"),
        ("header", "X-API-Key"),
        ("header", "Signature-Input"),
        ("cookie", "sessionid"),
    }
    assert {scheme["type"] for scheme in schemes.values()} == {"apiKey", "http", "oauth2", "mutualTLS"}
    assert schema["paths"]["/api/v1/x"]["get"]["security"] == [
        {"ApiKey": []},
        {"XApiKey": []},
        {"Bearer": []},
        {"OAuth2": []},
        {"Signature": []},
        {"Certificate": []},
        {"Session": []},
    ]
