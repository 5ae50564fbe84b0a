"""Keys as documents: what lists, answers and the audit log say of them.

No secret is in them, and no digest.
"""

from datetime import datetime
from typing import Any

from ratelimit.entitlements import caller_from, granted_document, state_of
from ratelimit.models import ApiKey
from store.instant_text import format_instant


def key_document(key: ApiKey, *, now: datetime) -> dict[str, Any]:
    """What a key is at `now`.

    Rates and quotas are those that hold for it, its own or its tier's; a quota of None is none.
    """
    caller = caller_from(key, identity=f"key:{key.pk}", name=key.name, credential="api_key")
    return {
        "id": key.pk,
        "prefix": key.prefix,
        "name": key.name,
        "state": state_of(key, now=now),
        **granted_document(key, caller),
        "signed_only": key.signed_only,
        "certificate": key.certificate,
        "before_expiry": key.before_expiry,
        "created_at": format_instant(key.created_at),
        "expires_at": format_instant(key.expires_at),
        "revoked_at": format_instant(key.revoked_at),
        "last_used_at": format_instant(key.last_used_at),
        "replaces": key.replaces_id,
        "replaced_by": next((successor.pk for successor in key.successors.all()), None),
    }
