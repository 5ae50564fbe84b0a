"""A URLconf with objects of accounts, and with endpoints that are declared by halves, as a later app would bring them."""

from django.http import Http404, HttpResponse
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.views import APIView

from web.endpoints import ANYBODY, WRITE, Access

KNOWN = ("A1", "A2")


class AccountView(APIView):
    """An account; one that is not there is Django's 404."""

    access = {
        "get": Access("trading:read", sensitivity="confidential", account="account_id"),
        "put": Access("trading:write", account="account_id", kind=WRITE),
    }

    def get(self, request, account_id):
        if account_id not in KNOWN:
            raise Http404
        return Response({"account": account_id, "caller": request.user.identity})

    def put(self, request, account_id):
        return self.get(request, account_id)


class OpenView(APIView):
    access = {"post": Access(ANYBODY, kind=WRITE)}

    def post(self, request):
        return Response({"open": True})


class UndeclaredView(APIView):
    def get(self, request):
        return Response({})

    def delete(self, request):
        return Response({})


class PlainView(UndeclaredView):
    access = {"get": Access("market:read")}


def page(request):
    """A view of Django's own, that nothing guards."""
    return HttpResponse("hello")


urlpatterns = [
    path("page", page, name="page"),
    path("accounts/<str:account_id>", AccountView.as_view(), name="owned-account"),
    path("open", OpenView.as_view(), name="open"),
    path("plain", PlainView.as_view(), name="plain"),
    path("undeclared", UndeclaredView.as_view(), name="undeclared"),
    path("nameless", UndeclaredView.as_view()),
    # What pages for a browser link to.
    path("", include("marketdata_project.urls")),
]
handler404 = "marketdata_project.problems.not_found"
