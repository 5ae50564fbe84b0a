"""What is secret is written nowhere: no log, record, spool, counter, refusal, database or command line holds it."""

import base64
import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import orjson
import pytest

from tests.front.front_server import Reply, eventually
from tests.system import leaking_views
from tests.system.batches import Batch
from tests.system.clients import INGEST, OHLC, Client, connected
from tests.system.installation import UNLIMITED, Installation, installed, switched

pytestmark = pytest.mark.xdist_group("no_secret")

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
KEYS = "/api/v1/keys"
TOKEN = "/api/v1/auth/token"
USER = "lovelace"


def word() -> str:
    return secrets.token_urlsafe(24).replace("-", "x").replace("_", "y")


def files_in(folder: Path) -> list[Path]:
    """All that lies there, folders too, but for links; what is being moved away may be gone a moment later."""
    return [path for path in folder.rglob("*") if not path.is_symlink()]


def content_of(path: Path) -> bytes:
    """All of a file that is still there; nothing of a folder or a socket. Raises OSError where it cannot be read."""
    with contextlib.suppress(FileNotFoundError, IsADirectoryError, ProcessLookupError):
        return b"" if path.is_socket() else path.read_bytes()
    return b""


def mode_of(path: Path) -> int:
    """The mode of a file that is still there, else 0. Raises OSError where it cannot be read."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mode
    return 0


@dataclass
class Site:
    """A running installation, what nobody may find, and all that it has refused so far."""

    installation: Installation
    hidden: dict[str, str]
    refusals: list[Reply] = field(default_factory=list)

    def found(self) -> list[str]:
        """Which secrets lie open, and where."""
        folder = self.installation.served.data_dir
        places = {str(path.relative_to(folder)): content_of(path) for path in files_in(folder)}
        places["the output"] = self.installation.served.output.read_bytes()
        places["the refusals"] = b"\n".join(
            reply.body + repr(reply.headers).encode() for reply in self.refusals
        )
        for pid in [self.installation.served.process.pid, *self.installation.served.members()]:
            places[f"the command line of {pid}"] = content_of(Path(f"/proc/{pid}/cmdline"))
        return [
            f"{name} in {place}" for name, secret in self.hidden.items() for place, content in places.items()
            if secret.encode() in content or quote(secret, safe="").encode() in content
        ]  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    hidden = {
        "SECRET_KEY": secrets.token_urlsafe(64),
        "SIGNING_SECRET": secrets.token_urlsafe(64),
        "password": f"{word()} {word()}",
    }
    environment = {name: hidden[name] for name in ("SECRET_KEY", "SIGNING_SECRET")}
    environment |= switched(urls=leaking_views.__name__)
    folder = tmp_path_factory.mktemp("secrets")
    with installed(folder, data_dir=None, WORKERS="1", **environment) as installation:
        installation.served.add_superuser(USER, hidden["password"], **environment)
        yield Site(installation, hidden)


def headers_with(site: Site) -> list[dict[str, str]]:
    """Credentials of every kind in their headers, right and wrong ones, each of them hidden."""
    hidden = site.hidden
    hidden["key"] = site.installation.new_key(tier="internal", rate=UNLIMITED)
    hidden["unknown key"] = f"md_{secrets.token_hex(4)}_{word()}"
    hidden["token"] = ".".join(["eyJhbGciOiJIUzI1NiJ9", f"eyJ{word()}", word()])
    hidden["opaque token"] = word()
    hidden["basic"] = base64.b64encode(f"{USER}:{word()}".encode()).decode()
    hidden["signature"] = base64.b64encode(secrets.token_bytes(32)).decode()
    hidden["session"] = word().lower()
    components = '("@method" "@target-uri");created=1700000000;keyid="md_abcdefgh";nonce="0123456789abcdef"'
    return [
        {"X-API-Key": hidden["key"]},
        {"Authorization": f"Api-Key {hidden['key']}"},
        {"X-API-Key": hidden["unknown key"]},
        {"X-API-Key": hidden["key"], "Authorization": f"Bearer {hidden['token']}"},
        {"Authorization": f"Bearer {hidden['token']}"},
        {"Authorization": f"Bearer {hidden['opaque token']}"},
        {"Authorization": f"Basic {hidden['basic']}"},
        {"Signature-Input": f"sig1={components}", "Signature": f"sig1=:{hidden['signature']}:"},
        {"Cookie": f"sessionid={hidden['session']}", "X-API-Key": hidden["key"]},
        {"X-Correlation-ID": hidden["key"], "X-API-Key": hidden["key"]},
    ]


def keep_refusal(site: Site, reply: Reply) -> None:
    if reply.status >= 400:
        site.refusals.append(reply)


def test_secrets_in_headers(site: Site):
    with connected(site.installation.port, None) as client:
        for sent in headers_with(site):
            for method, path in (
                ("GET", f"{OHLC}?symbol=AAPL"),
                ("GET", "/api/v1/nothing"),
                ("POST", INGEST),
            ):
                body = b"{" if method == "POST" else None
                keep_refusal(site, client.call(method, path, body, {**JSON, **sent}))
            reply = client.call("POST", leaking_views.PATH, b"{}", {**JSON, **sent})
            assert reply.status == 500
            keep_refusal(site, reply)
    assert len(site.refusals) > 20
    assert_nothing_is_found(site)


def test_secrets_as_the_ids_of_writes_that_are_done(site: Site):
    hidden = site.hidden
    hidden["writer"] = site.installation.new_key(tier="internal", rate=UNLIMITED)
    hidden["idempotency key"] = site.installation.new_key()
    ids = {"X-Correlation-ID": hidden["writer"], "Idempotency-Key": hidden["idempotency key"]}
    body = Batch(1, "SECRET", 3, has_ids=True).body
    with connected(site.installation.port, hidden["writer"]) as client:
        first, again = (client.call("POST", INGEST, body, {**JSON, **ids}) for _ in range(2))
        made = client.call("POST", KEYS, b'{"name":"x","scopes":["market:read"]}', {**JSON, **ids})
        keep_refusal(site, client.call("POST", KEYS, b"{}", {**JSON, **ids}))
    assert (first.status, again.status, made.status) == (200, 200, 201)
    assert again.headers["idempotency-replayed"] == "true"
    hidden["made"] = made.json()["key"]
    assert_nothing_is_found(site)


def test_secrets_in_queries_and_paths(site: Site):
    hidden = site.hidden
    hidden["key in a path"] = f"md_{secrets.token_hex(4)}_{word()}"
    hidden["secret part of a key"] = secrets.token_urlsafe(32)
    bare = hidden["secret part of a key"]
    twice = quote(quote(f"md_{secrets.token_hex(4)}_{bare}", safe="").replace("_", "%5F"))
    names = ("token", "api_key", "password", "access_token", "client_secret", "sig")
    hidden.update({f"{name} in a query": word() for name in names})
    queries = [urlencode({name: hidden[f"{name} in a query"]}) for name in names]
    with connected(site.installation.port, hidden.get("key")) as client:
        for query in queries:
            for path in (OHLC, "/api/v1/nothing", leaking_views.PATH):
                site.refusals.append(client.get(f"{path}?symbol=AAPL&{query}"))
        for path in ("/api/v1/{}", "/v1/{}/x", "/{}", "/api/v1/instruments/{}"):
            site.refusals += [
                client.get(path.format(told))
                for told in (hidden["key in a path"], bare, f"{secrets.token_hex(4)}_{bare}", twice)
            ]
        site.refusals += [client.get(f"{OHLC}?symbol=AAPL&x={told}") for told in (bare, twice)]
    assert_nothing_is_found(site)


def test_secrets_in_bodies(site: Site):
    hidden = site.hidden
    hidden["wrong password"], hidden["client secret"], hidden["refresh"] = word(), word(), word()
    wrong = {"username": USER, "password": hidden["wrong password"]}
    client_credentials = {
        "grant_type": "client_credentials",
        "client_id": "x",
        "client_secret": hidden["client secret"],
    }
    with connected(site.installation.port, None) as client:
        site.refusals += [
            client.call("POST", TOKEN, orjson.dumps(wrong), JSON),
            client.call("POST", TOKEN, orjson.dumps({**wrong, "surprise": 1}), JSON),
            client.call("POST", "/api/v1/auth/refresh", orjson.dumps({"refresh": hidden["refresh"]}), JSON),
            client.call("POST", "/api/v1/oauth/token", urlencode(client_credentials).encode(), FORM),
            client.call("POST", leaking_views.PATH, orjson.dumps(wrong), JSON),
            client.call("POST", leaking_views.PATH, urlencode(client_credentials).encode(), FORM),
        ]
        assert all(reply.status >= 400 for reply in site.refusals)
        assert log_in(client, site).status == 200
    assert_nothing_is_found(site)


def log_in(client: Client, site: Site) -> Reply:
    """The tokens of who has the right password; they are as secret as it is."""
    right = {"username": USER, "password": site.hidden["password"]}
    reply = client.call("POST", TOKEN, orjson.dumps(right), JSON)
    site.hidden.update({name: reply.json()[name] for name in ("access", "refresh")})
    client.get(f"{OHLC}?symbol=AAPL", {"Authorization": f"Bearer {site.hidden['access']}"})
    return reply


def assert_nothing_is_found(site: Site) -> None:
    """Neither now, nor when the worker has moved what was spooled."""
    assert site.found() == []
    # Of a known caller, so that it has a record of its own; those of the calls before come first.
    with connected(site.installation.port, site.installation.new_key()) as client:
        last = client.get("/api/v1/nothing").headers["x-correlation-id"]
    assert eventually(lambda: bool(site.installation.audited(last)))
    assert site.found() == []


def test_a_secret_would_be_found(site: Site):
    """The search itself can find something: what is no secret is where secrets are looked for."""
    seen = Site(
        site.installation,
        {"user": USER, "path": leaking_views.PATH, "title": "marketdata web"},
        site.refusals,
    )
    places = " ".join(seen.found())
    assert "user in marketdata.sqlite3" in places
    assert "path in the output" in places
    assert "title in the command line" in places


def test_all_that_lies_in_the_data_folder_is_its_owners_alone(site: Site):
    folder = site.installation.served.data_dir
    assert folder.stat().st_mode & 0o777 == 0o700
    open_to_others = [path for path in files_in(folder) if mode_of(path) & 0o077]
    assert open_to_others == []
