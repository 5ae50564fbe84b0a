"""Callers as values."""

from ipaddress import ip_network

import pytest

from ratelimit.callers import Caller


def caller(**values) -> Caller:
    return Caller(
        **{
            "identity": "key:12",
            "name": "desk",
            "tier": "default",
            "rate": 10,
            "scopes": frozenset(),
            **values,
        }
    )


@pytest.mark.parametrize(
    ("networks", "address", "may"),
    [
        ((), "203.0.113.9", True),
        ((), "", True),
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("10.0.0.0/8",), "::ffff:11.1.2.3", False),
        (("10.0.0.0/8",), "11.1.2.3", False),
        (("10.0.0.0/8", "2001:db8::/32"), "2001:db8::1", True),
        (("10.0.0.0/8",), "", False),
        (("10.0.0.0/8",), "10.1.2.3, 11.0.0.1", False),
    ],
)
def test_it_calls_from_its_networks(networks, address, may):
    assert caller(networks=tuple(map(ip_network, networks))).may_call_from(address) is may
