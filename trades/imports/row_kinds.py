"""Rows of several kinds in one file: trades beside quotes, and trades that were cancelled or corrected."""

import re
from collections.abc import Iterator, Sequence

import pyarrow as pa

from store.datasets import BARS, QUOTES, TRADES
from trades.exceptions import ImportRefused
from trades.imports.cell_looks import distinct_texts
from trades.imports.hints import bare, listed, look
from trades.imports.reading import FileReading
from trades.imports.samples import Sample

_TRADE = {"TRADE", "TRADES", "TRD", "PRINT", "SALE", "EXECUTION", "EXEC", "FILL", "DEAL", "LAST"}
_QUOTE = {"QUOTE", "QUOTES", "BID", "ASK", "OFFER", "BBO", "NBBO", "ORDER", "ADD", "MODIFY"}
_VOID = {
    "CANCEL", "CANCELLED", "CANCELED", "CANCELLATION", "CXL", "CORRECT", "CORRECTION", "CORRECTED", "BUST", "BUSTED",
    "BREAK", "BROKEN", "DELETE", "DELETED", "VOID", "STORNO", "REJECTED",
}  # fmt: skip
# Rows that sum up others of the file, or tell their taxes.
_SUMS = {"SUMMARY", "SUBTOTAL", "TOTAL", "CLOSEDLOT", "WASHSALE"}
# Whole cells that mark a trade beside cells that do not.
_CERTAIN = {"T", "OK", "REGULAR", "NORMAL"}
_MOST_KINDS, _FEW = 40, 20
_SIDES = re.compile("side|direction|aggress|maker|taker|initiator|buy|sell|liquid")
# Names of columns, in small letters without other characters, whose codes may be kinds of rows.
_OF_KINDS = re.compile(
    "(?:row|rec|record|msg|message|event|tick|entry|update|data|line|trade)?(?:kind|typ|type|status|state)"
    "|rec|record|msg|message|event|action"
)
_CODE = re.compile("[A-Za-z]{1,2}|[0-9]{1,2}")
_CODES_OF_OTHERS = ({"B", "S"}, {"L", "M"})  # sides, and orders with and without a limit
# Names of columns that mark trades which were cancelled or corrected, and what their cells say of others.
_OF_CHANGES = re.compile(
    "(?:is|was|has|tr|trade)?(?:been)?(?:cancel(?:l?ed|lation|ation)?|cxl|void(?:ed)?|bust(?:ed)?|broken|deleted?|storno"
    "|storniert|revers(?:ed|al)|corr|correct(?:ed|ions?))(?:flag|ind|indicator|code|status)?"
)
_UNCHANGED = re.compile("0+([.]0*)?|N|NO|F|FALSE|NONE|NULL|NAN|OK|-|")


def refuse_kinds(reading: FileReading, sample: Sample) -> None:
    """Raise `ImportRefused` if a column that is not read has words for rows of several kinds."""
    dataset = reading.options.dataset
    for name in _unread(reading, sample):
        texts = distinct_texts(sample.cells[name])
        trades, others = _kinds_of_rows(texts)
        is_side = not trades and _SIDES.search(bare(name)) is not None
        if not others or is_side or (not trades and dataset is not TRADES):
            continue
        if dataset is QUOTES:
            chosen = [text for text in others if _words(text) & _QUOTE and not _words(text) & (_VOID | _SUMS)]
        else:
            chosen = [text for text in texts if text in trades or text.upper() in _CERTAIN]
        hint = (
            look("--rows", f"{name}={listed(chosen)}")
            if chosen
            else f"; give --rows {name}=… with the values of the rows to read"
        )
        raise ImportRefused(
            f"{reading.file.path}: {name} tells rows of several kinds apart: {', '.join(texts[:_FEW])}{hint}"
        )


def doubts_of_kinds(reading: FileReading, sample: Sample) -> Iterator[str]:
    """Yield columns that are not read whose codes may be kinds of rows, or mark rows that were cancelled or corrected."""
    if reading.options.vendor or reading.options.dataset is BARS:
        return
    for name in _unread(reading, sample):
        cells = pa.chunked_array(
            [*sample.cells[name].chunks, *_of_end(sample, name)], sample.cells[name].type
        )
        if pa.types.is_boolean(cells.type) or pa.types.is_floating(cells.type):
            cells = cells.cast(pa.string())
        texts = distinct_texts(cells)
        shown = ", ".join(text or "''" for text in texts[:_FEW])
        if _OF_CHANGES.fullmatch(bare(name)) and not all(
            _UNCHANGED.fullmatch(text.upper()) for text in texts
        ):
            yield f"{name} is not read and may mark rows that were cancelled or corrected: {shown}"
        elif _OF_KINDS.fullmatch(bare(name)) and _are_kinds(texts):
            yield f"{name} is not read and may tell rows of several kinds apart: {shown}"


def _unread(reading: FileReading, sample: Sample) -> list[str]:
    return [
        name
        for name in reading.layout.unread_columns
        if name not in reading.options.rows and name in sample.cells.column_names
    ]


def _of_end(sample: Sample, name: str) -> list[pa.Array]:
    """Return the cells of a column at the file's end, if they have the type of those at its beginning."""
    cells = sample.unread[name] if name in sample.unread.column_names else None
    return cells.chunks if cells is not None and cells.type == sample.cells[name].type else []


def _are_kinds(texts: Sequence[str]) -> bool:
    """Return whether texts are several codes of one or two characters, neither sides nor kinds of orders."""
    codes = {text.upper() for text in texts if text}
    is_of_others = any(codes <= others for others in _CODES_OF_OTHERS)
    return 1 < len(codes) <= _MOST_KINDS and not is_of_others and all(map(_CODE.fullmatch, codes))


def _kinds_of_rows(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return which of a column's texts are kinds of trades, and which are quotes, or rows that change or sum up others."""
    if len(texts) > _MOST_KINDS:
        return [], []
    others = [text for text in texts if _words(text) & (_QUOTE | _VOID | _SUMS)]
    return [text for text in texts if _words(text) & _TRADE and text not in others], others


def _words(text: str) -> set[str]:
    found = re.findall("[A-Z]+", text.upper())
    return {*found, "".join(found)}
