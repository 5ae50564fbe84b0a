"""Arrow columns of a file: as texts, and computed."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Mask
from store.declarations import WORD_SEPARATOR
from trades.exceptions import ImportRefused
from trades.formats.arrow_values import nearest_floats, one_array
from trades.imports.cell_looks import clock_texts, fraction_digits
from trades.imports.vendors.layout import Derived

_IS_NUMBER = re.compile(r"-?[0-9]+([.][0-9]+)?")


def computed_column(table: pa.Table, derived: Derived, path: Path) -> pa.Array:
    """Return a computed column of a table. Raises `ImportRefused` if the values do not fit."""
    names = set(table.column_names)
    nothing = pa.nulls(table.num_rows, pa.string())
    sources = [readable_texts(table.column(name)) if name in names else nothing for name in derived.sources]
    try:
        return derived.compute(*sources)
    except pa.ArrowInvalid as error:
        raise ImportRefused(f"{path}, {', '.join(derived.sources)}: {error}") from error


def plain_numbers(cells: pa.Array, decimal: str) -> pa.Array:
    """Return texts of numbers without spaces around them; with a decimal mark told, without marks of thousands, too.

    decimal: see `Dialect`. Thousands are separated by the other mark, spaces or apostrophes; the sign of a currency may
    come first. A text that does not fit is changed so that it is no number.
    """
    texts = pc.utf8_trim_whitespace(cells)
    if not decimal:
        return texts
    between = f"[{'.' if decimal == ',' else ','}'\u2019 \u00a0\u202f]"
    fits = rf"^[+-]?[$€£]?([0-9]{{1,3}}({between}[0-9]{{3}})+|[0-9]*)([{decimal}][0-9]*)?([eE][+-]?[0-9]+)?$"
    plain = pc.replace_substring(pc.replace_substring_regex(texts, f"{between}|[$€£]", ""), decimal, ".")
    return pc.if_else(
        pc.match_substring_regex(texts, fits), plain, pc.binary_join_element_wise("?", texts, "")
    )


def with_prepared(table: pa.Table, prepared: Mapping[str, Derived], path: Path) -> pa.Table:
    """Return the table with columns that a vendor's layout computes from others. Raises `ImportRefused`."""
    for name, derived in prepared.items():
        table = table.append_column(name, computed_column(table, derived, path))
    return table


def with_joined(table: pa.Table, joined: Mapping[str, tuple[str, ...]]) -> pa.Table:
    """Return the table with columns that are others' texts with a space between: a date, a time of day and perhaps milliseconds."""
    for name, (date, *clocks) in joined.items():
        joint = one_array(table.column(date)).cast(pa.string())
        for place, part in enumerate(clocks):
            cells = one_array(table.column(part))
            digits = fraction_digits(part, cells) if place else None
            texts = clock_texts(part, cells) if digits is None else pc.utf8_lpad(_trimmed(cells), digits, "0")
            joint = pc.binary_join_element_wise(joint, texts, " " if digits is None else ".")
        table = table.append_column(name, joint)
    return table


def _trimmed(values: pa.Array) -> pa.Array:
    return pc.utf8_trim_whitespace(values.cast(pa.string()))


def with_nulls(table: pa.Table, nulls: Sequence[str]) -> pa.Table:
    """Return the table with nulls in place of the texts, and of the numbers, that stand for null."""
    for place, name in enumerate(table.column_names if nulls else ()):
        values = table.column(name)
        if pa.types.is_string(values.type):
            is_null = pc.is_in(values, pa.array(nulls, pa.string()))
        elif pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            numbers = [float(text) for text in nulls if _IS_NUMBER.fullmatch(text)]
            is_null = pc.is_in(values.cast(pa.float64(), safe=False), pa.array(numbers, pa.float64()))
        else:
            continue
        table = table.set_column(place, name, pc.if_else(is_null, None, values))
    return table


def joined_symbols(table: pa.Table, parts: Sequence[str]) -> pa.Array:
    """Return the texts of columns with a point between, without those that are empty: BRK and B are BRK.B."""
    texts = [pc.utf8_trim_whitespace(one_array(table.column(part)).cast(pa.string())) for part in parts]
    filled = [pc.if_else(pc.equal(each, ""), None, each) for each in texts]
    return pc.binary_join_element_wise(*filled, ".", null_handling="skip")


def is_one_of(table: pa.Table, rows: Mapping[str, tuple[str, ...]]) -> Mask:
    """Return a mask of the rows that have one of the texts in each of these columns. Nulls are empty texts."""
    masks = [
        mask_of(
            pc.is_in(
                pc.utf8_trim_whitespace(one_array(table.column(name)).cast(pa.string())).fill_null(""),
                pa.array(texts),
            )
        )
        for name, texts in rows.items()
    ]
    return np.asarray(np.logical_and.reduce(masks))


def encoded_texts(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return texts dictionary-encoded."""
    values = one_array(column)
    return values if pa.types.is_dictionary(values.type) else values.cast(pa.string()).dictionary_encode()


def readable_texts(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as texts, lists joined; floats as numbers."""
    values = one_array(column)
    if pa.types.is_floating(values.type):
        return nearest_floats(values)
    if pa.types.is_string(values.type):
        return values
    if pa.types.is_list(values.type):
        return pc.binary_join(values, WORD_SEPARATOR)
    return values.cast(pa.string())


def mask_of(values: pa.Array) -> Mask:
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)
