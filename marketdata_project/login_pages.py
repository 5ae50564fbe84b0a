"""The pages where people log in: the form for a key or a name and password, and the link that `serve` prints."""

from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods

from ratelimit.credentials.browser_login import browser_login, caller_of_browser
from ratelimit.credentials.login_link import login_link_use
from ratelimit.credentials.logins import record_key_login
from ratelimit.credentials.sessions import (
    TokenPair,
    key_session_begin,
    person_holder,
    session_begin,
    session_of,
)
from ratelimit.exceptions import CredentialError, NetworkNotAllowed


class LoginForm(forms.Form):
    """A key, or a name and a password."""

    key = forms.CharField(required=False, max_length=200)
    username = forms.CharField(required=False, max_length=150, strip=False)
    password = forms.CharField(required=False, max_length=1024, strip=False)

    def clean(self) -> dict[str, Any]:
        entered = self.cleaned_data
        has_key = bool(entered.get("key"))
        has_password = bool(entered.get("username") and entered.get("password"))
        if not self.errors and has_key == has_password:
            raise forms.ValidationError("Enter a key, or a name and a password.")
        return entered


@sensitive_post_parameters("key", "password")
@csrf_protect
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def login_page(request: HttpRequest) -> HttpResponse:
    """Show the form; by POST log in and go to `next`, a path of this site. Nothing that was entered is shown again."""
    form = LoginForm(request.POST or None)
    if form.is_valid():
        try:
            pair = _session(form.cleaned_data, request)
        except (CredentialError, NetworkNotAllowed) as error:
            text = str(error)
            form.add_error(None, f"{text[0].upper()}{text[1:]}.")
        else:
            response = HttpResponseRedirect(_next(request) or resolve_url(settings.LOGIN_REDIRECT_URL))
            browser_login(request, response, pair)
            return response
    context = {"form": form, "next": _next(request), "has_link": settings.LOGIN_LINK}
    return render(request, "login.html", context)


login_page.checks_password = True  # type: ignore[attr-defined]


def _session(entered: dict[str, Any], request: HttpRequest) -> TokenPair:
    """Raises CredentialError, NetworkNotAllowed, LimitReached, LoginLimited, PasswordChecksBusy, DatabaseError."""
    now = timezone.now()
    if not entered["key"]:
        name, password = entered["username"], entered["password"]
        return session_begin(username=name, password=password, request=request, now=now)
    try:
        pair = key_session_begin(key=entered["key"], address=request.META.get("REMOTE_ADDR", ""), now=now)
    except (CredentialError, NetworkNotAllowed):
        record_key_login(request, "")
        raise
    record_key_login(request, pair.holder.caller.identity)
    return pair


def _next(request: HttpRequest) -> str:
    """Return the page to go to after the login; "" if there is none on this site."""
    url = request.POST.get("next") or request.GET.get("next") or ""
    is_own = url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return url if is_own else ""


@require_GET
def login_link(request: HttpRequest) -> HttpResponse:
    """Log a browser of this machine in by the link that `serve` printed, and go to `next`, or `/`; so does who is logged in already.

    HEAD is refused, so that a program that looks at the link does not use it.
    """
    user, now = login_link_use(request, request.GET.get("token", "")), timezone.now()
    if user is None or not user.is_active:
        if caller_of_browser(request, now=now) is not None:
            return HttpResponseRedirect(_next(request) or "/")
        return render(request, "login_link.html", {"next": _next(request)}, status=403)
    response = HttpResponseRedirect(_next(request) or "/")
    browser_login(request, response, session_of(person_holder(user, now=now), now=now))
    return response
