"""A URLconf with endpoints at two of the deprecated paths and at a path beside them."""

from django.urls import include, path, re_path
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from web.endpoints import WRITE, Access


class StatusView(APIView):
    access = {"get": Access("trading:read", sensitivity="confidential")}

    def get(self, request):
        return Response({"status": "running"}, headers={"Link": '</next>; rel="next"'})


class StartView(APIView):
    access = {"post": Access("trading:write", kind=WRITE)}

    def post(self, request):
        raise serializers.ValidationError({"account": [serializers.ErrorDetail("unknown", "unknown_field")]})


class FailingView(APIView):
    access = {"get": Access("trading:read")}

    def get(self, request):
        raise ZeroDivisionError


urlpatterns = [
    re_path(r"^api/status/?\Z", StatusView.as_view(), name="status"),
    re_path(r"^api/signals/?\Z", FailingView.as_view(), name="signals"),
    path("api/trading/start", StartView.as_view(), name="trading-start"),
    path("api/status/history", StatusView.as_view(), name="status"),
    path("", include("marketdata_project.urls")),
]
handler404 = "marketdata_project.problems.not_found"
handler500 = "marketdata_project.problems.server_error"
