"""Hashes of texts by whole columns: the same in every process, as hashes in a file must be."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.text_columns import text_ends

Words = npt.NDArray[np.uint64]

MIX_1, MIX_2, STEP = (
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
    np.uint64(0x9E3779B97F4A7C15),
)
_SEEDS = np.array([[0xA0761D6478BD642F], [0xE7037ED1A0B428DB]], dtype=np.uint64)
_WORD_BYTES = 8
# The bytes of a word that are a text's, by how many they are.
_OWN_BYTES = np.array([2 ** (8 * count) - 1 for count in range(_WORD_BYTES + 1)], dtype=np.uint64)


def mixed(words: Words) -> Words:
    """The finalizer of splitmix64: every input bit changes every output bit with probability one half."""
    words = (words ^ (words >> np.uint64(30))) * MIX_1
    words = (words ^ (words >> np.uint64(27))) * MIX_2
    return words ^ (words >> np.uint64(31))


def text_words(values: pa.Array) -> Words:
    """Two words for each text, 128 bits in all: an array of two rows. What a null has is left open.

    Each text is read eight bytes at a time, all texts at once.
    """
    ends = text_ends(values).astype(np.int64)
    padded = np.zeros(ends[-1] - ends[0] + _WORD_BYTES, np.uint8)
    padded[:-_WORD_BYTES] = np.frombuffer(values.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    word_at = np.ndarray(len(padded) - _WORD_BYTES + 1, "<u8", padded, strides=(1,))
    starts, lengths = ends[:-1] - ends[0], np.diff(ends)
    hashes = mixed(lengths.view(np.uint64) + _SEEDS)
    for at in range(0, int(lengths.max(initial=1)), _WORD_BYTES):
        if at == 0:
            words = word_at[starts] & _OWN_BYTES[np.minimum(lengths, _WORD_BYTES)]
            hashes = mixed((hashes ^ words) * MIX_2 + _SEEDS)
        else:
            longer = np.flatnonzero(lengths > at)
            words = word_at[starts[longer] + at] & _OWN_BYTES[np.minimum(lengths[longer] - at, _WORD_BYTES)]
            hashes[:, longer] = mixed((hashes[:, longer] ^ words) * MIX_2 + _SEEDS)
    return hashes
