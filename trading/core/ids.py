"""Ids that follow from what they name: UUIDs of version 5, so that the same events give the same ids."""

from hashlib import sha1


def id_in(namespace: bytes, name: str) -> str:
    """Return the UUID of a name as text. namespace: the bytes of the UUID that the name is of."""
    # As `uuid.uuid5`, which takes four times as long.
    digest = bytearray(sha1(namespace + name.encode(), usedforsecurity=False).digest())
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"
