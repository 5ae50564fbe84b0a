"""The link that logs a browser of this machine in, once.

Its token is Django's for resetting a password: it is signed, and becomes invalid with the person's next login.
"""

from ipaddress import ip_address

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.http import HttpRequest
from django.utils import timezone

from web.requests.wsgi_variables import IS_FORWARDED

# The superuser who is logged in by the link. It has no password.
USERNAME = "local"
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


def login_link_create(*, base: str) -> str:
    """Return a new link, valid for PASSWORD_RESET_TIMEOUT seconds. base: the server's URL."""
    user = User.objects.filter(username=USERNAME).first()
    if user is None:
        user = User.objects.create_superuser(USERNAME, password=None)
    return f"{base}/login/link?token={default_token_generator.make_token(user)}"


def login_link_use(request: HttpRequest, token: str) -> User | None:
    """Return the person whom the link logs in.

    None if LOGIN_LINK is off, if the token was used or has expired, if the request is not from this machine, or if the
    person is not a superuser.
    """
    if not settings.LOGIN_LINK or not _is_from_this_machine(request):
        return None
    user = User.objects.filter(username=USERNAME, is_superuser=True).first()
    if user is None or not default_token_generator.check_token(user, token):
        return None
    # Of two requests at once only one finds the login of before.
    unused = User.objects.filter(pk=user.pk, last_login=user.last_login)
    return user if unused.update(last_login=timezone.now()) else None


def _is_from_this_machine(request: HttpRequest) -> bool:
    """Return whether the client is on this machine, called it by a local name, and sent no X-Forwarded-For."""
    host = request.get_host()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    is_local = ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    return is_local and name in _LOCAL_HOSTS and not request.META.get(IS_FORWARDED)
