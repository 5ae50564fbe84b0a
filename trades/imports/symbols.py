"""The symbols of imported files: which column has them, how vendors write them, and which file names are symbols."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from store.symbols import InvalidSymbol, is_symbol, parse_option_symbol, parse_symbol
from trades.imports.hints import bare

# Names of columns, in small letters without other characters, by rank: those of a rank count if there is none before.
_COLUMN_NAMES = (
    {"symbol", "symbols", "ticker", "tickers", "tickersymbol", "symbolticker", "symbolname", "symbolcode", "sym", "krzel"},
    {
        "instrument", "instrumentname", "instrumentsymbol", "instrumentcode", "instid", "security", "securitycode",
        "securitysymbol", "seccode", "contract", "contractsymbol", "contractcode", "optionsymbol", "stock",
        "stocksymbol", "localsymbol", "tradingsymbol", "tradingcode", "rawsymbol", "marketsymbol",
        "mnemonic", "asset", "assetsymbol", "assetcode", "pair", "pairname", "tradingpair", "currencypair", "ccypair",
        "fxpair", "coin", "coinsymbol", "token", "crypto", "cryptocurrency", "product", "productid", "productcode",
        "ric", "epic", "tidm", "secid", "stockcode", "tscode", "windcode", "scrip", "scripcode", "bbgticker",
        "bloombergticker",
    },
    {
        "isin", "isincode", "cusip", "figi", "sedol", "wkn", "valor", "permno", "conid", "symbolid", "tickerid",
        "instrumentid", "securityid", "contractid", "stockid", "assetid", "coinid", "tokenid", "pairid",
    },
)  # fmt: skip
# Names of columns that have the symbol in some files, in others a condition or a venue.
_UNCLEAR_NAMES = {"code", "market", "marketid", "marketname", "exchangesymbol"}
# Names of columns that tell rows of one instrument apart: venues, conditions, sides, kinds, notes, people, ids, times.
_OTHER_NAMES = re.compile(
    "^(?!.*(?:symbol|ticker))(?:(?:ex|mic|bs|per|id|tz)$|.*(?:"
    "exch|venue|market|tape|feed|source|publish|provider|vendor|origin|destination|platform"
    "|cond|flag|qualif|modif|attrib|sale|indicator|correct"
    "|side|direction|aggress|maker|taker|initiator|buy|sell|liquid|action"
    "|type|kind|class|categor|session|phase|period|interval|frequency|frame|resolution|status|state|reason|event|unit"
    "|note|comment|remark|memo|desc|text|message|label|tag|info|warning"
    "|broker|account|acct|client|user|trader|firm|member|party|agent|strateg"
    "|trade|order|exec|match|deal|uuid|guid|hash|ref|seq|number|ticket|fee|commission"
    "|time|date|zone|day|month|hour))"
)
_WORDS = {"TRUE", "FALSE", "YES", "NO", "BUY", "SELL", "BID", "ASK"}
_DATE_OR_NUMBER = re.compile(
    r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}([T: ].*)?|[0-9]{1,2}:.*|[-+]?[0-9.]+(E[-+]?[0-9]+|[KMBT])?|NAN|INF|NULL|NONE"
)
_YEAR, _MONTH, _DAY = r"(?:19|20)[0-9]{2}", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12][0-9]|3[01])"
_DATE = re.compile(
    rf"(?<![0-9])(?:{_YEAR}(?:[-_. ]{_MONTH}(?:[-_. ]{_DAY})?|{_MONTH}{_DAY}|[-_. ]?(?:Q[1-4]|H[12]|W[0-5][0-9]))"
    rf"|[0-9]{{1,2}}[-_. ][0-9]{{1,2}}[-_. ]{_YEAR}|(?<=_){_YEAR}(?=_|\Z)|(?<=[- ]){_YEAR}\Z|\A{_YEAR}{_MONTH}?\Z)(?![0-9])"
)
_NAMED_MONTH = r"(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)[A-Z]*[-_. ]?(?:[0-9]{2}|[0-9]{4})?"
_PERIOD = re.compile(rf"{_YEAR}{_MONTH}?|{_NAMED_MONTH}")
_RESOLUTION = re.compile(r"[0-9]+(?:S|M|H|D|W|MO)|[MH][0-9]{1,2}|D1|W1|MN1?|TICK|MIN|HOUR|DAY")
# In small letters it is no part of a symbol: EURIBOR-3M is one, tsla_1m is not.
_FINAL_RESOLUTION = re.compile(r"[-_. ]([0-9]+(?:s|m|min|h|d|w|mo))\Z")
# Words of file names that are part of no symbol.
_WORD = re.compile(
    r"[0-9]+(?:SEC|MIN|HOUR|DAY)S?|[0-9]*(?:SECOND|MINUTE)S?|HOURLY|DAILY|WEEKLY|MONTHLY|INTRADAY"
    r"|(?:TRADES|AGGTRADES|QUOTES|TICKS|BARS|CANDLES|KLINES|OHLCV?|AGGS"
    r"|EXPORT|DOWNLOAD|PRICES|HISTORY|HISTORICAL|DATASET|STOCKS|SYMBOLS|TICKERS|OUTPUT)[0-9]*"
)
# Words that some symbol begins with, such as DATA-USD, but of which none consists, and with which none ends.
_LATER_WORD = re.compile(
    r"(?:(?:MY|STOCK|MARKET|TRADE|TICK|PRICE|TEST)?DATA|PRICE|TRADE|QUOTE|CANDLE|SAMPLE)[0-9]*"
)
# Names of files that programs number.
_NUMBERED = re.compile(
    r"(?:PART|CHUNK|FILE|BATCH|SHARD|SPLIT|DATA|TABLE)[-_. ]?(?:[A-Z][-_])?[0-9]+(?:[-_. ].*)?"
    r"|[0-9]{1,2}|[0-9]{6}_[0-9]+|[0-9]{12}"
)
_PARTITION = "symbol="


@dataclass(frozen=True, slots=True)
class SymbolSpelling:
    """How a vendor writes symbols with small letters, which are parts of their names.

    name: the vendor. pattern: the symbols that it explains, as root and suffix. suffixes: the text for each
    part of a suffix; the symbol is the root, a dot and these.
    """

    name: str
    pattern: re.Pattern[str]
    suffixes: Mapping[str, str]

    def applied(self, text: str) -> str | None:
        """Return the symbol of a vendor's spelling; None if the rule does not explain it."""
        match = self.pattern.fullmatch(text)
        if match is None:
            return None
        root, suffix = match.groups()
        return f"{root}.{''.join(self.suffixes.get(letter, letter) for letter in suffix)}"


def file_symbol(text: str, rule: SymbolSpelling | None) -> str:
    """Return the canonical symbol of a text in a file.

    Raises `InvalidSymbol`, also for a text with capital and small letters that the rule does not explain: TpC and TPC
    are two companies' shares.
    """
    text = text.strip()
    if text in (text.upper(), text.lower()) and not (rule and " " in text):
        return parse_symbol(text)
    symbol = rule and rule.applied(text)
    if not symbol:
        raise InvalidSymbol(
            f"capital and small letters may mean another symbol than {text.upper()}: write the one that is meant in"
            " capitals"
        )
    return parse_symbol(symbol)


def symbol_columns(names: Sequence[str]) -> list[str]:
    """Return the columns that are symbols by their names; several if they have one rank."""
    for known in _COLUMN_NAMES:
        found = [name for name in names if bare(name) in known]
        if found:
            return found
    return []


def unclear_columns(names: Sequence[str]) -> list[str]:
    """Return the columns that by their names may have the symbol, or something else."""
    return [name for name in names if bare(name) in _UNCLEAR_NAMES]


def may_be_an_instrument(name: str) -> bool:
    """Return whether a column by its name tells instruments apart: by symbols, names or ids."""
    return any(bare(name) in known for known in _COLUMN_NAMES)


def tells_other_things(name: str) -> bool:
    """Return whether a column by its name tells rows of one instrument apart: a venue, a condition, a side, an id."""
    return _OTHER_NAMES.search(bare(name)) is not None


def may_be_symbols(texts: Sequence[str]) -> bool:
    """Return whether all texts of a column may be symbols. Codes of one letter, and words such as BUY, are none."""
    found = [text for text in texts if text]
    is_code = all(len(each) == 1 or each.upper() in _WORDS for each in found)
    return bool(found) and not is_code and all(map(_may_be_symbol, found))


def has_letters(text: str) -> bool:
    """Return whether a text has letters, and is neither a date nor a number."""
    return _DATE_OR_NUMBER.fullmatch(text.upper()) is None and any(each.isalpha() for each in text)


def _may_be_symbol(text: str) -> bool:
    is_prose = " " in text and text != text.upper()
    return is_symbol(text) and not is_prose and has_letters(text)


def symbol_of_folder(path: Path) -> str | None:
    """Return the symbol of a partition's folder, such as `symbol=AAPL/date=2025-01-02`; None without one.

    Raises `InvalidSymbol`.
    """
    for folder in reversed(path.parts[:-1]):
        if folder.startswith(_PARTITION):
            return file_symbol(unquote(folder.removeprefix(_PARTITION)), None)
        if "=" not in folder:
            break
    return None


def symbol_of_name(name: str) -> str:
    """Return the symbol that a file's name is.

    Raises `InvalidSymbol`, also for a name that ends with a resolution, or has a date, a resolution and a month, words such
    as trades, or a part's number.
    """
    if resolution := _FINAL_RESOLUTION.search(name):
        raise InvalidSymbol(f"{resolution[1]} is a resolution")
    if parse_option_symbol(name.upper()) is None and _describes(name.upper()):
        raise InvalidSymbol("it tells a date, a resolution or what the file holds")
    return file_symbol(name, None)


def _describes(name: str) -> bool:
    if _DATE.search(name) or _NUMBERED.fullmatch(name):
        return True
    parts = [part for part in re.split(r"[-_. ]+", name) if part]
    has_period = any(_PERIOD.fullmatch(part) for part in parts)
    has_resolution = any(_RESOLUTION.fullmatch(part) for part in parts)
    has_word = any(map(_WORD.fullmatch, parts)) or any(map(_LATER_WORD.fullmatch, parts[1:] or parts))
    return has_word or (has_period and has_resolution)
