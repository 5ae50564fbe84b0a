"""Where people and programs get their tokens."""

from django.urls import re_path

from ratelimit.credentials.programs.views import OAuthRevokeView, OAuthTokenView
from ratelimit.credentials.views import LogoutView, RefreshView, TokenView

urlpatterns = [
    re_path(r"^auth/token/?\Z", TokenView.as_view(), name="auth-token"),
    re_path(r"^auth/refresh/?\Z", RefreshView.as_view(), name="auth-refresh"),
    re_path(r"^auth/logout/?\Z", LogoutView.as_view(), name="auth-logout"),
    re_path(r"^oauth/token/?\Z", OAuthTokenView.as_view(), name="oauth-token"),
    re_path(r"^oauth/revoke/?\Z", OAuthRevokeView.as_view(), name="oauth-revoke"),
]
