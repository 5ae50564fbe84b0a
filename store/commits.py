"""A commit's facts: what was accepted, and what of it was stored. They are the same in every backend.

The hashes of commits form a chain: SHA-256 of the hash before, as hex, and the facts' text. So two logs with the same
hash have the same facts, and by their `content` the same rows. The text must not change in any version.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import msgspec

from store.content_hash import TableHash
from store.protocol import Amendment, Append, CommitId, Expiry, Fill, Receipt, Superseded

VERSION = b'{"v":2,'


class Facts(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The facts of one accepted batch.

    number: 1, 2, 3, …. committed_at: nanoseconds UTC, larger than in any earlier commit. digest: see `digest_of`.
    received: the number of rows or corrections in the batch. rows, corrections: how many were stored; content: their
    `ContentHash`. duplicate_rows: indices in the batch of the first hundred
    rows (or corrections) that were stored before. key_hash: SHA-256 of the idempotency key, in hex. complete_until_ns,
    fill, expiry: see `Append`. superseded: see `Superseded`; then the corrections cancel rows of fills. replaced: how many of the
    corrections replace rows; see `Append`.
    """

    number: int = msgspec.field(name="commit")
    committed_at: int
    caller: str
    digest: str
    received: int
    rows: int = 0
    corrections: int = 0
    content: str = ""
    duplicate_rows: tuple[int, ...] = ()
    key_hash: str | None = None
    complete_until_ns: int | None = msgspec.field(name="complete_until", default=None)
    fill: Fill | None = None
    superseded: tuple[Superseded, ...] = ()
    replaced: int = 0
    expiry: Expiry | None = None

    def receipt(self, commit_hash: str, *, replayed: bool = False) -> Receipt:
        """Return the receipt that the caller got."""
        is_of_rows = bool(self.superseded or self.replaced)
        return Receipt(
            received=self.received,
            stored=self.rows if is_of_rows else self.rows + self.corrections,
            duplicate_rows=self.duplicate_rows,
            commit=CommitId(self.number, commit_hash),
            replayed=replayed,
            superseded=self.corrections - self.replaced if self.superseded else None,
            replaced=self.replaced,
        )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Facts)


def encode_facts(facts: Facts) -> bytes:
    """Return the facts' text: a JSON object in ASCII or UTF-8, without its closing brace."""
    return VERSION + _encoder.encode(facts)[1:-1]


def decode_facts(text: bytes) -> Facts:
    """Return the facts that `encode_facts` wrote. Raises `msgspec.MsgspecError`."""
    return _decoder.decode(text + b"}")


def chained(previous_hash: str, text: bytes) -> str:
    """Return a commit's hash. text: its facts."""
    return hashlib.sha256(previous_hash.encode() + text).hexdigest()


def digest_of(request: Append | Amendment, rows_hash: str | None = None) -> str:
    """Return a hash that identifies a batch as it was sent: of its rows without later columns, or its corrections.

    rows_hash: the `TableHash` of the rows' own columns, if it is known.
    """
    if isinstance(request, Amendment):
        text = _text_of(request)
    else:
        fill = None if request.fill is None else asdict(request.fill)
        rows_hash = rows_hash or _rows_hash(request)
        expiry = [] if request.expiry is None else [asdict(request.expiry)]
        text = json.dumps([rows_hash, request.complete_until_ns, fill, request.replaces, *expiry])
    return hashlib.sha256(text.encode()).hexdigest()


def _rows_hash(batch: Append) -> str:
    rows = TableHash(batch.dataset.own_columns)
    rows.add(batch.rows)
    return rows.hexdigest()


def _text_of(amendment: Amendment) -> str:
    names = amendment.dataset.named_by
    values = [
        [
            each.action,
            each.timestamp_ns,
            *map(each.named.get, names),
            dict(each.new),
            # What is named as missing is told apart from what is not named.
            *(name for name in names if name in each.named and each.named[name] is None),
        ]
        for each in amendment.corrections
    ]
    return json.dumps(["corrections", values], sort_keys=True)
