"""Who sends a body, as far as the headers prove it."""

from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError

from marketdata_project.front.body import NoRoom
from ratelimit.credentials.identify import sender_of
from ratelimit.credentials.presented import presented_in
from ratelimit.exceptions import CredentialError, NetworkNotAllowed


def body_owner(environ: dict[str, Any]) -> str | None:
    """Return the identity of the caller whose credential is good; None if there is none.

    Raises NoRoom while keys cannot be looked up.
    """
    try:
        caller = sender_of(presented_in(environ), now=datetime.now(UTC))
    except (CredentialError, NetworkNotAllowed):
        return None
    except DatabaseError as error:
        raise NoRoom from error
    return None if caller is None else caller.identity
