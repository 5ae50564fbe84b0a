"""The decision by itself: each way to be refused, and in which order."""

import pytest

from ratelimit.access.scopes import SENSITIVITIES
from ratelimit.access.table import (
    ANY_CALLER,
    ANYBODY,
    NOBODY,
    NOT_THERE,
    UNDECLARED,
    Access,
    denial_of,
    is_cleared,
)
from ratelimit.callers import Caller

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


@pytest.mark.parametrize("who", [None, caller()], ids=["nobody", "a caller"])
def test_an_endpoint_without_a_row_is_denied_to_everybody(who):
    assert denial_of(who, None) is UNDECLARED
    assert UNDECLARED.code == "forbidden"


def test_an_anonymous_client_may_use_open_endpoints_only():
    assert denial_of(None, Access(ANYBODY)) is None
    assert denial_of(None, READ) is denial_of(None, Access(ANY_CALLER)) is NOBODY
    assert NOBODY.code == "not_authenticated"


def test_a_caller_without_scopes_may_use_endpoints_for_any_caller():
    bare = caller(scopes=frozenset(), sensitivity="public", accounts=frozenset())
    assert denial_of(bare, Access(ANY_CALLER)) is denial_of(bare, Access(ANYBODY)) is None


def test_the_missing_scope_is_named():
    denial = denial_of(caller(scopes=frozenset({"market:write"})), READ)
    assert denial is not None
    assert denial.code == "missing_scope"
    assert denial.message == "the caller lacks the scope market:read"


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


def test_a_higher_clearance_includes_the_lower_ones():
    cleared = {
        own: [needed for needed in SENSITIVITIES if is_cleared(own, for_=needed)] for own in SENSITIVITIES
    }
    assert cleared == {
        "public": ["public"],
        "internal": ["public", "internal"],
        "confidential": ["public", "internal", "confidential"],
    }


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


def test_a_caller_without_the_scope_learns_nothing_of_accounts():
    stranger = caller(scopes=frozenset(), accounts=frozenset({"A1"}))
    denials = [denial_of(stranger, OF_ACCOUNT, arguments={"account_id": account}) for account in ("A1", "A2")]
    assert denials[0] == denials[1]


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
