"""The link that logs a browser of this machine in, once.

The file `login_link` in RUN_DIR has the SHA-256 of the newest link's token and the second at which it expires. Using
the link removes the file.
"""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import msgspec
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.http import HttpRequest

from web.requests.wsgi_variables import IS_FORWARDED

LIFETIME = timedelta(hours=1)
# The superuser who is logged in by the link. It has no password.
USERNAME = "local"
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


class _Stored(msgspec.Struct, frozen=True):
    sha256: str
    expires_at: float


def login_link_create(*, base: str, now: datetime) -> str:
    """Make a new link; an earlier one is no longer valid. base: the server's URL."""
    token = secrets.token_urlsafe(32)
    path = _path()
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_bytes(msgspec.json.encode(_Stored(_sha256(token), (now + LIFETIME).timestamp())))
    draft.rename(path)
    return f"{base}/login/link?token={token}"


def login_link_use(request: HttpRequest, token: str, *, now: datetime) -> User | None:
    """Return the person whom the link logs in, and make the link invalid.

    None if LOGIN_LINK is off, if the token is not the newest link's or has expired, if the request is not from this
    machine, or if the person is not a superuser.
    """
    is_used = settings.LOGIN_LINK and _is_from_this_machine(request) and _use(token, now=now)
    return _local_user() if is_used else None


def _use(token: str, *, now: datetime) -> bool:
    path = _path()
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
        is_valid = hmac.compare_digest(stored.sha256, _sha256(token)) and now.timestamp() < stored.expires_at
        if is_valid:
            # Of two requests at once only one removes it.
            path.unlink()
    except (OSError, msgspec.MsgspecError):
        return False
    return is_valid


def _is_from_this_machine(request: HttpRequest) -> bool:
    """Return whether the client is on this machine, called it by a local name, and sent no X-Forwarded-For."""
    host = request.get_host()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    is_local = ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    return is_local and name in _LOCAL_HOSTS and not request.META.get(IS_FORWARDED)


def _local_user() -> User | None:
    user = get_user_model().objects.filter(username=USERNAME).first()
    if user is None:
        return User.objects.create_superuser(USERNAME, password=None)
    return user if user.is_superuser else None


def _path() -> Path:
    return Path(settings.RUN_DIR) / "login_link"


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
