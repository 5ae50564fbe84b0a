"""The audit log records the values of declared parameters and fields, and of no others."""

from collections.abc import Iterator
from typing import Any

from audit.records.recorded_names import RECORDED_NAMES
from tests.marketdata_project.test_openapi import operations, schema
from tests.ratelimit.access.urlconf import ACCESS

# The operations whose bodies are recorded, by their url names.
AUDIT_FIRST = {
    "instrument": ("instrument_set",),
    "feeds": ("feed_keep",),
    "feed": ("feed_stop",),
    "keys": ("key_create",),
    "key": ("key_revoke",),
    "key-rotate": ("key_rotate",),
    "orders": ("order_submit",),
    "order": ("order_replace",),
    "account-orders": ("account_order_submit",),
    "order-batch": ("order_batch_submit",),
    "trade-preview": ("trade_preview",),
    "trade-execute": ("trade_execute",),
    "trading-start": ("trading_start",),
    "accounts": ("account_create",),
    "account": ("account_change",),
    "account-transfers": ("account_transfer",),
    "account-rebalance": ("account_rebalance",),
    "model": ("model_set",),
    "risk-override": ("risk_override",),
    "config-risk": ("risk_configure",),
    "alpaca-orders": ("alpaca_order_submit",),
    "alpaca-order": ("alpaca_order_replace",),
    "alpaca-watchlists": ("alpaca_watchlist_create",),
    "alpaca-watchlist": ("alpaca_watchlist_set", "alpaca_watchlist_add"),
    "alpaca-watchlist-asset": (),
}
# The query of a URL may be a secret.
NOT_RECORDED = {"token", "callback_url"}


def parameters(version: str) -> set[str]:
    return {
        each["name"]
        for operation in operations(version).values()
        for each in operation.get("parameters", ())
        if each["in"] == "query"
    }


def fields(node: Any, version: str) -> Iterator[str]:
    """The names of all members that a schema declares, at any level."""
    if isinstance(node, list):
        for each in node:
            yield from fields(each, version)
    elif isinstance(node, dict):
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            yield from fields(schema(version)["components"]["schemas"][name], version)
        yield from node.get("properties", {})
        for name in ("properties", "items", "additionalProperties", "allOf", "anyOf", "oneOf"):
            inner = node.get(name)
            yield from fields(list(inner.values()) if name == "properties" and inner else inner, version)


def declared(version: str) -> set[str]:
    """The names of the parameters of a version, and of the bodies of its audit-first operations."""
    ids = {each for names in AUDIT_FIRST.values() for each in names}
    bodies = [
        each["requestBody"]
        for each in operations(version).values()
        if each["operationId"] in ids and "requestBody" in each
    ]
    assert bodies
    media = [each for body in bodies for each in body["content"].values()]
    return parameters(version).union(*(fields(each["schema"], version) for each in media))


def test_the_audit_first_operations_are_those_of_the_table_of_access():
    assert {name for (name, _), access in ACCESS.items() if access.audit_first} == set(AUDIT_FIRST)


def test_recorded_names_are_those_that_the_api_declares():
    assert declared("v1") | declared("v2") == RECORDED_NAMES | NOT_RECORDED
