"""Signed requests to a real installation: each of them once, whichever process meets it, and after a restart too."""

import os
import secrets
import subprocess
import sys
import threading
from collections import Counter
from http.client import HTTPConnection

import orjson
import pytest
from django.conf import settings as project

from tests.front.front_server import Reply, eventually
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS
from tests.ratelimit.credentials.signatures.signing import prefix_of, secret_of, signed
from tests.system.batches import Batch
from tests.system.clients import INGEST, OHLC, clients_of_every_web
from tests.system.installation import UNLIMITED, Installation
from tests.system.kills import restarted
from tests.system.nginx import answer_of

pytestmark = pytest.mark.xdist_group("installation")

BARS = f"{OHLC}?symbol=SIGNED"
THREADS = 20


@pytest.fixture(autouse=True)
def _same_secret(installation: Installation, settings) -> None:
    settings.SECRET_KEY = (installation.served.data_dir / "secret_key").read_text().strip()
    settings.SIGNING_SECRET = ""


@pytest.fixture
def key(installation: Installation) -> str:
    return installation.new_key(rate=UNLIMITED, tier="internal")


def url_of(installation: Installation, path: str) -> str:
    return f"http://127.0.0.1:{installation.port}{path}"


def ingest_headers(installation: Installation, key: str, body: bytes) -> dict[str, str]:
    json = {"Content-Type": "application/json"}
    url, secret = url_of(installation, INGEST), secret_of(key)
    return signed("POST", url, key_id=prefix_of(key), secret=secret, body=body, headers=json)


def send(
    installation: Installation, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> Reply:
    return answer_of(
        HTTPConnection("127.0.0.1", installation.port, timeout=PATIENCE_SECONDS), method, path, body, headers
    )


def code_of(reply: Reply) -> str:
    assert reply.headers["content-type"] == "application/problem+json", reply
    return str(reply.json()["code"])


def test_a_signed_write_and_a_signed_read_are_answered(installation, key):
    body = Batch(1, "SIGNED", 3, has_ids=True).body
    reply = send(installation, "POST", INGEST, body, ingest_headers(installation, key, body))
    assert (reply.status, reply.json()["stored"]) == (200, 3)
    url = url_of(installation, f"{BARS}&start=2020-01-01T00%3A00%3A00Z&interval=1%6Din")
    headers = signed("GET", url, key_id=prefix_of(key), secret=secret_of(key))
    reply = send(installation, "GET", url.partition(str(installation.port))[2], None, headers)
    assert reply.status == 200, reply.body


def test_another_body_method_path_or_host_is_refused(installation, key):
    body = Batch(1, "SIGNED", 3, has_ids=True).body
    headers = ingest_headers(installation, key, body)
    assert code_of(send(installation, "POST", INGEST, body + b" ", headers)) == "digest_mismatch"
    for method, path, changed in (
        ("PUT", INGEST, {}),
        ("POST", f"/api{INGEST}", {}),
        ("POST", f"{INGEST}?unknown=ignore", {}),
        ("POST", INGEST, {"Host": "localhost"}),
    ):
        refused = send(installation, method, path, body, {**headers, **changed})
        assert (refused.status, code_of(refused)) == (401, "invalid_signature")
        assert "Signature" in refused.headers["www-authenticate"]
    assert send(installation, "POST", INGEST, body, headers).status == 200


def test_a_body_that_came_in_chunks_is_the_body(installation, key):
    body = Batch(1, "CHUNKED", 300, has_ids=True).body
    headers = {**ingest_headers(installation, key, body), "Transfer-Encoding": "chunked"}
    connection = HTTPConnection("127.0.0.1", installation.port, timeout=PATIENCE_SECONDS)
    pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    connection.request("POST", INGEST, iter(pieces), headers, encode_chunked=True)
    reply = connection.getresponse()
    assert (reply.status, orjson.loads(reply.read())["stored"]) == (200, 300)
    connection.close()


def test_of_twenty_at_once_with_one_signature_one_succeeds(installation, key):
    body = Batch(1, "AT-ONCE", 3, has_ids=True).body
    headers = ingest_headers(installation, key, body)
    answers: list[Reply] = []
    at_once = threading.Barrier(THREADS)
    with clients_of_every_web(installation.served, None, each=THREADS // 2) as clients:
        assert len({client.process for client in clients}) == 2

        def send_it(client) -> None:
            at_once.wait(PATIENCE_SECONDS)
            answers.append(client.call("POST", INGEST, body, headers))

        threads = [threading.Thread(target=send_it, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert Counter(answer.status for answer in answers) == {200: 1, 401: THREADS - 1}
    assert {code_of(answer) for answer in answers if answer.status == 401} == {"nonce_used"}


def test_redis_has_no_part_in_it(installation, key):
    body = Batch(1, "FLUSHED", 3, has_ids=True).body
    headers = ingest_headers(installation, key, body)
    assert send(installation, "POST", INGEST, body, headers).status == 200
    installation.redis.flushall()
    assert code_of(send(installation, "POST", INGEST, body, headers)) == "nonce_used"


def test_a_refused_request_has_used_its_nonce_up_all_the_same(installation, key):
    body = b'{"trades": "none"}'
    headers = ingest_headers(installation, key, body)
    assert send(installation, "POST", INGEST, body, headers).status == 422
    assert code_of(send(installation, "POST", INGEST, body, headers)) == "nonce_used"


def test_a_key_that_only_signs_is_not_accepted_bare(installation):
    key = installation.new_key(rate=UNLIMITED, signed_only=True)
    assert code_of(send(installation, "GET", BARS, None, {"X-API-Key": key})) == "signature_required"
    headers = signed("GET", url_of(installation, BARS), key_id=prefix_of(key), secret=secret_of(key))
    assert send(installation, "GET", BARS, None, headers).status == 200


def test_the_signers_calls_are_recorded_as_its_own_and_without_secrets(installation, key, settings):
    nonce = f"seen-{secrets.token_hex(12)}"
    secret = secret_of(key)
    headers = signed("GET", url_of(installation, BARS), key_id=prefix_of(key), secret=secret, nonce=nonce)
    headers["X-Correlation-ID"] = "signed-record"
    assert send(installation, "GET", BARS, None, headers).status == 200
    assert eventually(lambda: installation.audited("signed-record"))
    (row,) = installation.audited("signed-record")
    assert row["caller"].startswith("key:")
    written = installation.served.output.read_text()
    assert secret not in written
    assert settings.SECRET_KEY not in written


def test_the_example_signs(installation, key, tmp_path):
    body = tmp_path / "trades.json"
    body.write_bytes(Batch(1, "EXAMPLE", 3, has_ids=True).body)
    command = [sys.executable, str(project.BASE_DIR / "docs/examples/signed_request.py")]
    for path, options in (
        (INGEST, ["--method", "POST", "--body", str(body), "--idempotency-key", "example-1"]),
        (f"{OHLC}?symbol=EXAMPLE&interval=1min", []),
    ):
        done = subprocess.run(
            [*command, url_of(installation, path), "--key-id", prefix_of(key), *options],
            env={**os.environ, "MARKETDATA_SIGNING_SECRET": secret_of(key)},
            capture_output=True,
            text=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
        assert (done.returncode, done.stdout.splitlines()[0]) == (0, "200"), done


def test_the_worker_removes_nonces_that_nobody_needs(installation):
    rows = [
        ("key:0", f"{name}-{secrets.token_hex(8)}", at)
        for name, at in (("old", "2001-01-01"), ("new", "2099-01-01"))
    ]
    with installation._database() as database:
        insert = (
            "INSERT INTO ratelimit_usednonce (identity, nonce, expires_at) VALUES (?, ?, ? || ' 00:00:00')"
        )
        database.executemany(insert, rows)
        database.commit()

    def left() -> set[str]:
        with installation._database() as database:
            return {nonce for (nonce,) in database.execute("SELECT nonce FROM ratelimit_usednonce")}

    assert eventually(lambda: rows[0][1] not in left())
    assert rows[1][1] in left()


@pytest.mark.soak
def test_after_a_restart_a_signature_is_still_used(installation, key):
    body = Batch(1, "RESTARTED", 3, has_ids=True).body
    headers = ingest_headers(installation, key, body)
    others = ingest_headers(installation, key, body)
    assert send(installation, "POST", INGEST, body, headers).status == 200
    installation.kill_everything(list(installation.served.members()))
    assert installation.served.ended()
    # The window is longer than a slow machine's start: it is the nonce that refuses.
    restarted(installation, SIGNATURE_WINDOW_SECONDS="600")
    assert installation.is_ready()
    assert code_of(send(installation, "POST", INGEST, body, headers)) == "nonce_used"
    assert send(installation, "POST", INGEST, body, others).status == 200
