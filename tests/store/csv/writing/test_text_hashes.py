"""Vectorised hashes of texts."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from store.csv.writing.row_hashes import text_words

# Lengths around a word's, texts with equal beginnings, and zero bytes, which also pad words.
_texts = st.one_of(
    st.text(st.sampled_from("ab\0é"), max_size=20), st.integers(0, 30).map(lambda length: "a" * length)
)


@given(texts=st.lists(st.one_of(_texts, st.none()), min_size=1, max_size=20))
def test_texts_have_equal_hashes_if_and_only_if_they_are_equal(texts: list[str | None]):
    words = text_words(pa.array(texts, pa.string()))
    for row in words:  # each half alone, so that both together distinguish all texts
        hashes = [each for each, text in zip(row.tolist(), texts, strict=True) if text is not None]
        present = [text for text in texts if text is not None]
        assert len(set(zip(hashes, present, strict=True))) == len(set(hashes)) == len(set(present))


@given(texts=st.lists(_texts, min_size=1, max_size=20), data=st.data())
def test_a_text_has_the_same_hash_whatever_stands_beside_it(texts: list[str], data: st.DataObject):
    whole = pa.array(texts, pa.string())
    start = data.draw(st.integers(0, len(texts) - 1))
    assert text_words(whole.slice(start)).tolist() == text_words(whole)[:, start:].tolist()
    alone = [text_words(pa.array([text])).ravel().tolist() for text in texts]
    assert text_words(whole).T.tolist() == alone


def test_no_texts_have_no_hashes():
    assert text_words(pa.array([], pa.string())).shape == (2, 0)
