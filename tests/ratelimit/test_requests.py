"""Authentication, scopes, throttle and headers as a request meets them."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView, exception_handler

from ratelimit.api_keys import generate
from ratelimit.authentication import ApiKeyAuthentication, StaffSessionAuthentication
from ratelimit.headers import RateLimitHeadersMiddleware, rate_headers
from ratelimit.models import ApiKey
from ratelimit.permissions import HasScope
from ratelimit.services import key_create
from ratelimit.throttles import TokenBucketThrottle, kind_of
from ratelimit.token_bucket import SECOND_US, Standing

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns: list[URLPattern] = []


class Guarded(APIView):
    """As the project's settings guard a view; DRF's own handler makes the problems."""

    authentication_classes = [ApiKeyAuthentication, StaffSessionAuthentication]
    permission_classes = [HasScope]
    throttle_classes = []
    required_scopes: object = {"GET": "market:read", "POST": "market:write"}

    def get_exception_handler(self):
        return exception_handler

    def get(self, request):
        return Response(request.user.identity)

    def head(self, request):
        return Response()

    def post(self, request):
        return Response(request.user.identity)

    def delete(self, request):
        return Response()


def made_key(**changes) -> str:
    values = {"name": "feed", "tier": "default", "scopes": ["market:read"], "now": timezone.now()}
    return key_create(**{**values, **changes}).key


def call(method="GET", view=Guarded, user=None, csrf=False, **headers):
    request = getattr(APIRequestFactory(enforce_csrf_checks=csrf), method.lower())("/", headers=headers)
    request.user = user or AnonymousUser()
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
    assert response["WWW-Authenticate"] == "Api-Key"


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
        assert response["WWW-Authenticate"] == "Api-Key"


def test_two_different_keys_are_401():
    response = call(authorization=f"Api-Key {made_key()}", x_api_key=made_key())
    assert (response.status_code, code(response)) == (401, "invalid_api_key")


def test_staff_may_read_in_their_session_with_every_scope():
    user = User.objects.create_user("ada", is_staff=True)
    assert call(user=user).data == f"staff:{user.pk}"


def test_a_staff_session_needs_a_csrf_token_to_write():
    user = User.objects.create_user("ada", is_staff=True)
    assert call("POST", user=user, csrf=True).status_code == 403
    assert call("POST", user=user, csrf=False).status_code == 200


def test_staff_see_the_browsable_api_under_their_name():
    class Browsable(Guarded):
        renderer_classes = [JSONRenderer, BrowsableAPIRenderer]

    user = User.objects.create_user("lovelace", is_staff=True)
    page = call(view=Browsable, user=user, accept="text/html").render().content.decode()
    assert "lovelace" in page
    assert f"staff:{user.pk}" in page


@pytest.mark.parametrize("flags", [{}, {"is_staff": True, "is_active": False}], ids=["not staff", "inactive"])
def test_other_sessions_are_nobody(flags):
    assert call(user=User.objects.create_user("eve", **flags)).status_code == 401


def test_a_request_without_sessions_is_nobody():
    request = APIRequestFactory().get("/")
    assert Guarded.as_view()(request).status_code == 401


def test_a_missing_scope_is_403_and_named():
    response = call("POST", x_api_key=made_key())
    assert (response.status_code, code(response)) == (403, "missing_scope")
    assert response.data["detail"] == "the API key lacks the scope market:write"


def test_head_follows_get_and_options_needs_a_caller_only():
    key = made_key(scopes=["risk:write"])
    assert call("OPTIONS", x_api_key=key).status_code == 200
    assert call("OPTIONS").status_code == 401
    assert call("HEAD", x_api_key=key).status_code == 403
    assert call("HEAD", x_api_key=made_key()).status_code == 200


def test_a_method_without_a_declared_scope_is_denied_and_an_absent_one_is_405():
    key = made_key(scopes=["all"])
    response = call("DELETE", x_api_key=key)
    assert (response.status_code, code(response)) == (403, "forbidden")
    assert response.data["detail"] == "no scope is declared for DELETE here"
    assert call("PUT", x_api_key=key).status_code == 405


def test_one_scope_may_be_declared_for_all_methods():
    class ForAll(Guarded):
        required_scopes = "market:write"

    assert call("POST", view=ForAll, x_api_key=made_key(scopes=["market:write"])).status_code == 200
    assert call("GET", view=ForAll, x_api_key=made_key()).status_code == 403


def test_a_view_that_declares_nothing_is_denied():
    class Undeclared(Guarded):
        required_scopes = None

    assert call(view=Undeclared, x_api_key=made_key(scopes=["all"])).status_code == 403


def test_a_public_view_needs_no_key_and_is_not_throttled():
    class Public(Guarded):
        permission_classes = []
        throttle_classes = [TokenBucketThrottle]

        def get(self, request):
            return Response("hello")

    assert [call(view=Public).status_code for _ in range(30)] == [200] * 30


class Throttled(Guarded):
    throttle_classes = [TokenBucketThrottle]


def test_over_the_rate_is_429_and_writes_have_their_own_bucket(redis_server):
    key = made_key(rate=1, scopes=["all"])
    statuses = [call(view=Throttled, x_api_key=key) for _ in range(3)]
    assert [response.status_code for response in statuses] == [200, 200, 429]
    assert statuses[-1]["Retry-After"] == "1"
    assert code(statuses[-1]) == "throttled"
    assert call("POST", view=Throttled, x_api_key=key).status_code == 200


def test_the_standing_reaches_the_headers_of_answers_and_refusals(redis_server):
    key = made_key(rate=1)
    middleware = RateLimitHeadersMiddleware(Throttled.as_view())
    remaining = []
    for _ in range(3):
        response = middleware(APIRequestFactory().get("/", headers={"X-API-Key": key}))
        remaining.append(response["X-RateLimit-Remaining"])
    assert remaining == ["1", "0", "0"]
    assert (response.status_code, response["X-RateLimit-Limit"]) == (429, "2")


def test_an_answer_without_a_charged_bucket_has_no_rate_headers():
    response = RateLimitHeadersMiddleware(lambda request: HttpResponse())(APIRequestFactory().get("/"))
    assert not [name for name in response.headers if "ratelimit" in name.lower()]


def test_a_throttle_that_charged_nothing_knows_no_wait():
    assert TokenBucketThrottle().wait() is None


def test_headers_of_a_standing_are_rounded_against_the_caller():
    standing = Standing(
        admitted=True,
        kind="read",
        limit=20,
        remaining=7,
        refill_us=2 * SECOND_US,
        now_us=1_800_000_000 * SECOND_US + 1,
        until_full_us=1_000_001,
        retry_after_us=0,
    )
    assert rate_headers(standing) == {
        "X-RateLimit-Limit": "20",
        "X-RateLimit-Remaining": "7",
        "X-RateLimit-Reset": "1800000002",
        "RateLimit-Policy": '"read";q=20;w=2',
        "RateLimit": '"read";r=7;t=2',
    }


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("GET", "read"),
        ("HEAD", "read"),
        ("OPTIONS", "read"),
        ("POST", "write"),
        ("DELETE", "write"),
        (None, "write"),
    ],
)
def test_methods_are_charged_to_reads_or_writes(method, kind):
    assert kind_of(method) == kind


def test_the_schema_offers_either_header_or_a_session():
    schema = SchemaGenerator(patterns=[path("api/v1/x", Guarded.as_view())]).get_schema(public=True)
    schemes = schema["components"]["securitySchemes"]
    assert {(scheme["in"], scheme["name"]) for scheme in schemes.values()} == {
        ("header", "Authorization"),
        ("header", "X-API-Key"),
        ("cookie", "sessionid"),
    }
    assert schema["paths"]["/api/v1/x"]["get"]["security"] == [
        {"ApiKey": []},
        {"XApiKey": []},
        {"StaffSession": []},
    ]
