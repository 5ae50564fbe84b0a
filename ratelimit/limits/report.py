"""The answer of `GET /limits`: every bucket and quota of a caller."""

from datetime import UTC, datetime
from typing import Any

from ratelimit.access.table import READ, TRADING, WRITE, access_table
from ratelimit.callers import Caller
from ratelimit.limits.admission import Admission
from ratelimit.limits.costs import COST_RULES
from ratelimit.limits.quota_usage import quota_reserved
from ratelimit.limits.quotas import QuotaState
from ratelimit.limits.services import DATA_GROUP, bucket_name, peek, rate_of
from ratelimit.limits.token_bucket import BucketState

# Every caller has these buckets, whatever endpoints there are.
_BUCKETS_OF_ALL = [(DATA_GROUP, READ), (DATA_GROUP, WRITE), (DATA_GROUP, TRADING)]


def limits_document(caller: Caller, *, charged: Admission) -> dict[str, Any]:
    """Return the document that LimitsSerializer describes. `charged` is the admission of this `GET /limits`."""
    return {
        "identity": caller.identity,
        "name": caller.name,
        "credential": caller.credential,
        "tier": caller.tier,
        "buckets": _bucket_documents(caller, charged.bucket),
        "quotas": [_quota_document(caller, quota) for quota in charged.quotas],
        "costs": [
            {"name": rule.name, "description": rule.description, "is_metered": rule.is_metered}
            for rule in COST_RULES.values()
        ],
    }


def _bucket_documents(caller: Caller, charged: BucketState) -> list[dict[str, Any]]:
    declared = sorted({(row.group, row.kind) for row in access_table().values()})
    documents: dict[str, dict[str, Any]] = {}
    for group, kind in [*_BUCKETS_OF_ALL, *declared]:
        name = bucket_name(group, kind)
        if name not in documents:
            state = charged if name == charged.name else peek(caller, group=group, kind=kind).bucket
            documents[name] = {
                "name": name,
                "rate": rate_of(caller, kind),
                "limit": state.limit,
                "remaining": state.remaining,
                "reset": _time(state.reset),
            }
    return list(documents.values())


def _quota_document(caller: Caller, quota: QuotaState) -> dict[str, Any]:
    remaining = quota.remaining
    if remaining is None:
        # Redis has no balance of this quota, so all reserved tokens count as used.
        remaining = max(0, quota.limit - quota_reserved(identity=caller.family, period=quota.period))
    return {
        "name": quota.name,
        "limit": quota.limit,
        "used": max(0, quota.limit - remaining),
        "remaining": remaining,
        "reset": _time(quota.reset),
    }


def _time(epoch_second: int) -> str:
    return f"{datetime.fromtimestamp(epoch_second, UTC):%Y-%m-%dT%H:%M:%SZ}"
