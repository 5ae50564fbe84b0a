"""Sends a signed request (RFC 9421, hmac-sha256), with the standard library alone.

    MARKETDATA_SIGNING_SECRET=mds_… python docs/examples/signed_request.py http://127.0.0.1:8000/api/v1/limits
    --key-id AbCd1234 … --method POST --body trades.json

`--key-id` is the key's prefix, the 8 characters after `md_`. The secret comes from the environment, so that
the process list does not show it.
"""

import argparse
import base64
import hashlib
import hmac
import os
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def signature_headers(
    method: str,
    url: str,
    *,
    key_id: str,
    secret: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the headers of a signed request: `headers`, which the signature covers, and the signature headers.

    `url` is absolute and percent-encoded, exactly as it is sent.
    """
    own_headers = headers or {}
    digest = f"sha-256=:{_base64(hashlib.sha256(body).digest())}:"
    covered = {"@method": method, "@target-uri": url, "content-digest": digest}
    covered |= {name.lower(): value for name, value in own_headers.items()}
    names = " ".join(f'"{name}"' for name in covered)
    params = (
        f'({names});created={int(time.time())};nonce="{secrets.token_urlsafe(24)}"'
        f';keyid="{key_id}";alg="hmac-sha256"'
    )
    # RFC 9421, 2.5: one line for each component, then the parameters, without a line feed at the end.
    lines = [f'"{name}": {value}' for name, value in {**covered, "@signature-params": params}.items()]
    signature = hmac.new(secret.encode(), "\n".join(lines).encode("ascii"), hashlib.sha256).digest()
    return {
        **own_headers,
        "Content-Digest": digest,
        "Signature-Input": f"sig={params}",
        "Signature": f"sig=:{_base64(signature)}:",
    }


def send(method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[int, bytes]:
    """Send a request; return the answer's status and body."""
    request = Request(url, data=body or None, method=method, headers=dict(headers))  # noqa: S310 the caller's URL
    try:
        with urlopen(request, timeout=30) as response:  # noqa: S310 as above
            return response.status, response.read()
    except HTTPError as error:
        return error.code, error.read()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def main(arguments: list[str]) -> int:
    """Run from the command line; return 0 if the answer is a success, else 1."""
    parser = argparse.ArgumentParser(description="Send one signed request and print the answer.")
    parser.add_argument("url")
    parser.add_argument("--key-id", required=True, help="the key's prefix")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--body", type=Path, help="a file that holds the body")
    parser.add_argument("--idempotency-key", help="sent as Idempotency-Key, and signed")
    options = parser.parse_args(arguments)
    body = options.body.read_bytes() if options.body else b""
    headers = {"Content-Type": "application/json"} if body else {}
    if options.idempotency_key:
        headers["Idempotency-Key"] = options.idempotency_key
    signed = signature_headers(
        options.method,
        options.url,
        key_id=options.key_id,
        secret=os.environ["MARKETDATA_SIGNING_SECRET"],
        body=body,
        headers=headers,
    )
    status, answer = send(options.method, options.url, signed, body)
    sys.stdout.write(f"{status}\n{answer.decode(errors='replace')}\n")
    return 0 if status < 400 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
