"""The URLs of keys, limits, and the tokens of people and programs."""

from django.urls import re_path

from ratelimit.credentials.programs.views import OAuthRevokeView, OAuthTokenView
from ratelimit.credentials.views import LogoutView, RefreshView, TokenView
from ratelimit.keys.views import KeysViewSet
from ratelimit.limits.views import LimitsViewSet

urlpatterns = [
    re_path(r"^limits/?\Z", LimitsViewSet.as_view({"get": "retrieve"}), name="limits"),
    re_path(r"^keys/?\Z", KeysViewSet.as_view({"get": "list", "post": "create"}), name="keys"),
    re_path(r"^keys/(?P<key>[^/]+)/rotate/?\Z", KeysViewSet.as_view({"post": "rotate"}), name="key-rotate"),
    re_path(
        r"^keys/(?P<key>[^/]+)/?\Z",
        KeysViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
        name="key",
    ),
    re_path(r"^auth/token/?\Z", TokenView.as_view(), name="auth-token"),
    re_path(r"^auth/refresh/?\Z", RefreshView.as_view(), name="auth-refresh"),
    re_path(r"^auth/logout/?\Z", LogoutView.as_view(), name="auth-logout"),
    re_path(r"^oauth/token/?\Z", OAuthTokenView.as_view(), name="oauth-token"),
    re_path(r"^oauth/revoke/?\Z", OAuthRevokeView.as_view(), name="oauth-revoke"),
]
