"""Who calls, as far as proxies are believed: spoofed headers, chains of proxies, and an oracle of the walk."""

import os
import secrets
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from marketdata_project.settings.environment import networks
from tests.patience import PROGRAM_SECONDS
from web.proxies import MOST_HOPS, client_address, parsed_address, trusted_environ
from web.requests.wsgi_variables import IS_FORWARDED

pytestmark = pytest.mark.system

PROXIES = tuple(ip_network(text) for text in ("10.0.0.0/8", "127.0.0.1", "2001:db8:1::/48"))
SAID = {
    "HTTP_X_FORWARDED_FOR": "192.0.2.7",
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_SSL_CLIENT_VERIFY": "SUCCESS",
    "HTTP_X_SSL_CLIENT_CERT": "-----BEGIN",
}


@pytest.fixture
def behind(settings):
    settings.TRUSTED_PROXIES, settings.BEHIND_TLS_PROXY = PROXIES, True
    return settings


def environ_after(peer: str, **said: str) -> dict[str, str]:
    """The environ, without the variable that says whether there was a proxy, which is checked here."""
    environ: dict[str, Any] = {"REMOTE_ADDR": peer, "REMOTE_PORT": "4711", "wsgi.url_scheme": "http", **said}
    trusted_environ(environ)
    assert environ.pop(IS_FORWARDED) == ("HTTP_X_FORWARDED_FOR" in said)
    return environ


# peer, X-Forwarded-For, who called
WALKS = {
    "no proxy": ("192.0.2.1", "198.51.100.9", "192.0.2.1"),
    "one proxy": ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
    "spoofed to its left": ("10.0.0.1", "127.0.0.1, 198.51.100.9", "198.51.100.9"),
    "a proxy's address spoofed to its left": ("10.0.0.1", "10.9.9.9,198.51.100.9", "198.51.100.9"),
    "two proxies": ("10.0.0.1", "198.51.100.9, 10.0.0.2", "198.51.100.9"),
    "two headers": ("10.0.0.1", "1.1.1.1,198.51.100.9,10.0.0.2", "198.51.100.9"),
    "only proxies": ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
    "nothing said": ("10.0.0.1", "", "10.0.0.1"),
    "garbage last": ("10.0.0.1", "198.51.100.9, unknown", "10.0.0.1"),
    "garbage before a proxy": ("10.0.0.1", "198.51.100.9, _x, 10.0.0.2", "10.0.0.2"),
    "an empty entry": ("10.0.0.1", "198.51.100.9,, 10.0.0.2", "10.0.0.2"),
    "a port": ("10.0.0.1", "198.51.100.9:55555", "198.51.100.9"),
    "brackets": ("10.0.0.1", "[2001:db8::7]", "2001:db8::7"),
    "brackets and a port": ("10.0.0.1", "[2001:DB8:0::7]:443, [2001:db8:1::2]:1", "2001:db8::7"),
    "IPv6 bare": ("2001:db8:1::1", "2001:db8::7", "2001:db8::7"),
    "IPv4 within IPv6": ("::ffff:10.0.0.1", "::ffff:198.51.100.9", "198.51.100.9"),
    "an IPv4 peer within IPv6": ("::ffff:192.0.2.1", "198.51.100.9", "192.0.2.1"),
    "what only looks like one": ("::ffff:10.0.0.1x", "198.51.100.9", "::ffff:10.0.0.1x"),
    "a unix socket": ("", "198.51.100.9", ""),
    "a zone": ("10.0.0.1", "fe80::1%eth0", "10.0.0.1"),
    "leading zeros": ("10.0.0.1", "010.0.0.1", "10.0.0.1"),
    "IPv4 in brackets": ("10.0.0.1", "[198.51.100.9]", "10.0.0.1"),
    "other digits": ("10.0.0.1", "١٩٨.51.100.9", "10.0.0.1"),
    "a line feed": ("10.0.0.1", "198.51.100.9\n", "10.0.0.1"),
    "a long entry": ("10.0.0.1", "1" * 70, "10.0.0.1"),
    "more hops than any": ("10.0.0.1", ", ".join(f"10.0.0.{n}" for n in range(200, 0, -1)), "10.0.0.10"),
}


@pytest.mark.parametrize("case", WALKS.values(), ids=WALKS)
def test_the_right_most_address_that_is_not_a_proxys_calls(behind, case):
    peer, forwarded, who = case
    environ = environ_after(peer, HTTP_X_FORWARDED_FOR=forwarded)
    assert environ["REMOTE_ADDR"] == who
    assert "HTTP_X_FORWARDED_FOR" not in environ


@pytest.mark.parametrize("peer", ["192.0.2.1", "", "11.0.0.1", "10.0.0.1.", "2001:db8:2::1"])
def test_nobody_else_is_believed(behind, peer):
    assert environ_after(peer, **SAID) == environ_after(peer)


def test_nobody_is_believed_without_trusted_proxies(settings):
    assert settings.TRUSTED_PROXIES == ()
    settings.BEHIND_TLS_PROXY = True
    assert environ_after("127.0.0.1", **SAID) == environ_after("127.0.0.1")


def test_a_trusted_proxy_is_believed(behind):
    assert environ_after("10.0.0.1", **SAID) == {
        "REMOTE_ADDR": "192.0.2.7",
        "wsgi.url_scheme": "https",
        **{name: value for name, value in SAID.items() if "SSL" in name or "PROTO" in name},
    }


@pytest.mark.parametrize(
    ("said", "scheme", "left"),
    [
        ("https", "https", "https"),
        ("HTTPS", "https", "https"),
        ("http", "http", "http"),
        ("https, http", "http", "http"),
        ("http, https", "https", "https"),
        ("wss", "https", "https"),
        ("ws", "http", "http"),
        ("ftp", "http", None),
        ("https,", "http", None),
        ("", "http", None),
    ],
)
def test_the_scheme_is_the_last_that_the_proxy_wrote(behind, said, scheme, left):
    environ = environ_after("127.0.0.1", HTTP_X_FORWARDED_PROTO=said)
    assert (environ["wsgi.url_scheme"], environ.get("HTTP_X_FORWARDED_PROTO")) == (scheme, left)


def test_the_scheme_is_the_connections_unless_the_proxy_is_said_to_tell(behind):
    behind.BEHIND_TLS_PROXY = False
    assert environ_after("127.0.0.1", **SAID)["wsgi.url_scheme"] == "http"


def oracle(peer: str, entries: list[str]) -> str:
    """The walk as one would do it by hand, over entries that are addresses or the word `garbage`."""
    walked = [peer]
    for entry in list(reversed(entries))[:MOST_HOPS]:
        if entry == "garbage" or not any(ip_address(walked[-1]) in network for network in PROXIES):
            break
        walked.append(entry)
    return str(ip_address(walked[-1]))


ENTRIES = st.one_of(
    st.sampled_from(["10.0.0.1", "10.200.0.1", "127.0.0.1", "2001:db8:1::5", "198.51.100.9", "garbage"]),
    st.ip_addresses().filter(lambda address: getattr(address, "ipv4_mapped", None) is None).map(str),
)


def dressed(entry: str, how: int) -> str:
    """An entry as proxies write them: bare, with spaces, with a port, with brackets."""
    if entry == "garbage":
        return ["unknown", "", "1.2.3", "[::1", "fe80::1%1", "a:b:c"][how % 6]
    if ":" in entry:
        return [entry, f" {entry}\t", f"[{entry}]", f"[{entry}]:65535"][how % 4]
    return [entry, f"\t{entry} ", f"{entry}:1"][how % 3]


@given(
    peer=ENTRIES.filter(lambda entry: entry != "garbage"),
    entries=st.lists(st.tuples(ENTRIES, st.integers(0, 11)), max_size=15),
)
def test_the_walk_is_the_one_by_hand(peer, entries):
    forwarded = ",".join(dressed(entry, how) for entry, how in entries)
    assert client_address(peer, forwarded, PROXIES) == oracle(peer, [entry for entry, _ in entries])


@given(st.text(max_size=80))
def test_whatever_an_entry_is_it_is_an_address_or_none(text):
    found = parsed_address(text)
    assert found is None or str(found).lower() in text.lower() or ":" in text


def test_networks_are_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1,2001:db8:1::/48")
    assert networks("TRUSTED_PROXIES") == PROXIES
    monkeypatch.delenv("TRUSTED_PROXIES")
    assert networks("TRUSTED_PROXIES") == ()


def test_networks_that_are_nearly_everybody_are_taken_as_they_are(monkeypatch):
    monkeypatch.setenv("TRUSTED_PROXIES", "0.0.0.0/1,128.0.0.0/2,8000::/1")
    assert len(networks("TRUSTED_PROXIES")) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        "10.0.0.1/8",
        "proxy.example",
        "10.0.0.0/33",
        "1.2.3",
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/1,128.0.0.0/1",
        "8000::/1,::/1",
        "128.0.0.0/2,0.0.0.0/1,192.0.0.0/2",
    ],
)
def test_what_is_no_network_and_what_is_everybody_is_refused_at_the_start(monkeypatch, wrong):
    monkeypatch.setenv("TRUSTED_PROXIES", f"127.0.0.1,{wrong}")
    with pytest.raises(ImproperlyConfigured, match="TRUSTED_PROXIES"):
        networks("TRUSTED_PROXIES")


STARTED = """
from wsgiref.util import setup_testing_defaults
import marketdata_project.wsgi as served
environ = {"PATH_INFO": "/healthz", "HTTP_HOST": "localhost", "wsgi.url_scheme": "https"}
setup_testing_defaults(environ)
print(b"".join(served.application(environ, lambda status, headers: print(status))).decode())
def seen(environ, _start):
    return [f"{environ['REMOTE_ADDR']} {environ.get('HTTP_X_SSL_CLIENT_VERIFY')}".encode()]
served._django = seen
for peer in ("127.0.0.1", "192.0.2.1"):
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": "198.51.100.9", "HTTP_X_SSL_CLIENT_VERIFY": "SUCCESS"}
    setup_testing_defaults(environ)
    print(served.application(environ, None)[0].decode())
"""


def started(tmp_path: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What came of a script in an environment of production."""
    variables = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.production",
        "SECRET_KEY": secrets.token_urlsafe(64),
        "DATA_DIR": str(tmp_path),
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-c", script],
        env=variables,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )


def test_any_wsgi_server_is_answered_and_has_the_same_edge(tmp_path):
    done = started(tmp_path, STARTED, TRUSTED_PROXIES="127.0.0.1")
    health, edge = ["200 OK", '{"status": "ok"}'], ["198.51.100.9 SUCCESS", "192.0.2.1 None"]
    assert done.stdout.splitlines() == [*health, *edge], done.stderr
