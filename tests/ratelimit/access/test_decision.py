"""The decision by itself: each way to be refused, and in which order."""

import pytest

from ratelimit.access.denials import NOT_THERE, denial_of, is_cleared
from ratelimit.callers import Caller
from web.endpoints import Access

READ = Access("market:read", sensitivity="internal")
OF_ACCOUNT = Access("trading:read", account="account_id")


def caller(**changes) -> Caller:
    values = {
        "identity": "key:1",
        "name": "feed",
        "tier": "default",
        "rate": 10,
        "scopes": frozenset({"market:read", "trading:read"}),
        "sensitivity": "internal",
        "accounts": frozenset({"A1"}),
    }
    return Caller(**{**values, **changes})


@pytest.mark.parametrize(
    ("scope", "is_denied"), [("trading:write", False), ("risk:write", False), ("trading:read", True)]
)
def test_one_of_two_scopes_suffices_and_both_are_named(scope, is_denied):
    stopping = Access("trading:write", or_scope="risk:write")
    denial = denial_of(caller(scopes=frozenset({scope})), stopping)
    assert (denial is not None) is is_denied
    if denial is not None:
        assert denial.message == "the caller lacks the scope trading:write or risk:write"


def test_the_sensitivity_is_named():
    denial = denial_of(caller(sensitivity="public"), READ)
    assert denial is not None
    assert denial.code == "insufficient_sensitivity"
    assert denial.message == "the caller may read data up to public, this is internal"


def test_an_unknown_word_clears_for_nothing():
    assert not is_cleared("secret", for_="public")


@pytest.mark.parametrize(
    ("accounts", "account", "expected"),
    [
        ({"A1"}, "A1", None),
        ({"*"}, "A2", None),
        ({"A1"}, "A2", NOT_THERE),
        (set(), "A1", NOT_THERE),
        ({"A1"}, "a1", NOT_THERE),
        ({"A1"}, "*", NOT_THERE),
        ({"A1", "*"}, None, NOT_THERE),
    ],
)
def test_another_account_is_not_there(accounts, account, expected):
    arguments = {} if account is None else {"account_id": account}
    assert denial_of(caller(accounts=frozenset(accounts)), OF_ACCOUNT, arguments=arguments) is expected


@pytest.mark.parametrize(
    ("credential", "key_id", "is_denied"),
    [
        ("api_key", "1", False),
        ("signature", "1", False),
        ("jwt", "1", True),
        ("session", "1", True),
        ("certificate", "1", True),
        ("api_key", "2", True),
        ("api_key", "01", True),
        ("api_key", None, True),
    ],
)
def test_a_key_itself_needs_no_scope_and_no_clearance(credential, key_id, is_denied):
    access = Access("keys:manage", sensitivity="confidential", own_key="key")
    itself = caller(scopes=frozenset(), sensitivity="public", credential=credential)
    denial = denial_of(itself, access, arguments={} if key_id is None else {"key": key_id})
    assert (denial is not None) is is_denied
    if denial is not None:
        assert denial.code == "missing_scope"
