"""Whom an address is counted as."""

import pytest

from web.requests.addresses import client_of, identity_of, parse


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("2001:DB8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_an_address_is_counted_as_its_client(text, client):
    assert client_of(parse(text)) == identity_of(text) == client


@pytest.mark.parametrize("text", ["", "unix:", "192.0.2", "[::1]", "1.2.3.4:80", "x" * 1000])
def test_a_text_that_is_no_address_is_cut_and_used_as_it_is(text):
    with pytest.raises(ValueError, match="does not appear to be"):
        parse(text)
    assert identity_of(text) == text[:64]
