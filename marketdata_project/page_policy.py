"""What a browser may do with a page of ours (Content Security Policy, Permissions Policy).

Pages alone have such headers: an answer for a program is never run, and its way here is the fast one.
"""

from typing import cast

from csp.middleware import CSPMiddleware
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class PagePolicyMiddleware(CSPMiddleware):
    """django-csp's for answers in HTML, which also forbids them the devices that `PERMISSIONS_POLICY` names.

    No page needs a nonce: scripts and styles are files.
    """

    sync_capable = True
    async_capable = False

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = cast("HttpResponseBase", self.get_response(request))
        if response.headers.get("Content-Type", "").startswith("text/html"):
            response.headers["Permissions-Policy"] = settings.PERMISSIONS_POLICY
            self.process_response(request, response)
        return response
