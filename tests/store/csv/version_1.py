"""Commit records of version 1, as earlier versions of the store wrote them."""

import hashlib
from typing import Any

import msgspec

from store.csv.files.commit_records import Commit


def encode_version_1(commit: Commit, previous_hash: str, request_key: str | None = None) -> tuple[bytes, str]:
    """A line, including the line end, and the commit's hash. request_key: written in the place of its hash."""
    facts = msgspec.to_builtins(commit.facts)
    record: dict[str, Any] = {
        **{name: facts[name] for name in ("commit", "committed_at", "caller", "digest", "received")},
        "parts": commit.parts,
    }
    if "duplicate_rows" in facts:
        record["duplicate_rows"] = facts["duplicate_rows"]
    if request_key is not None:
        record["request_key"] = request_key
    elif "key_hash" in facts:
        record["key_hash"] = facts["key_hash"]
    others = ("complete_until", "fill", "superseded", "replaced")
    record |= {name: facts[name] for name in others if name in facts}
    text = msgspec.json.encode(record)[:-1]
    commit_hash = hashlib.sha256(previous_hash.encode() + text).hexdigest()
    return text + b',"hash":"' + commit_hash.encode() + b'"}\n', commit_hash
