"""Seals of spooled lines, pure: who can write the spool but has not the key can add none and alter none."""

import hashlib
import hmac

SEAL_BYTES = 43
"""How long a line's end is that is its seal."""

_HEX_BYTES = 32
_FORM = b',"seal":"%s"}'


class FileSeal:
    """Seals the lines of one spool file: each for its name, and for the byte at which it begins.

    A seal is the last member of the line's object: BLAKE2b with a key, of 128 bits, in hex. It costs a third
    of an HMAC.
    """

    def __init__(self, key: bytes, name: str) -> None:
        self._keyed = hashlib.blake2b(name.encode() + b"\0", key=key, digest_size=_HEX_BYTES // 2)

    def sealed(self, line: bytes, position: int) -> bytes:
        """The line, an object of JSON with a member or more and a line feed, with its seal."""
        told = line[:-2]
        return told + _FORM % self._seal(told, position) + b"\n"

    def fits(self, line: bytes, position: int) -> bool:
        """Whether `line`, without its line feed, was sealed here."""
        told, seal = line[:-SEAL_BYTES], line[-SEAL_BYTES:]
        return hmac.compare_digest(seal, _FORM % self._seal(told, position))

    def _seal(self, told: bytes, position: int) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(b"%d\0" % position)
        keyed.update(told)
        return keyed.hexdigest().encode()
