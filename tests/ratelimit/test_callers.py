"""Callers as values."""

from ipaddress import ip_network

import pytest

from ratelimit.callers import ALL_ACCOUNTS, Caller


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


def test_it_is_shown_by_its_name_and_taken_for_a_user_by_frameworks():
    assert (str(caller()), caller().is_authenticated, caller().is_anonymous) == ("desk", True, False)


@pytest.mark.parametrize(
    ("accounts", "owns"), [((), False), (("A1",), True), (("A2",), False), ((ALL_ACCOUNTS,), True)]
)
def test_a_caller_owns_its_granted_accounts(accounts, owns):
    assert caller(accounts=frozenset(accounts)).owns("A1") is owns


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
