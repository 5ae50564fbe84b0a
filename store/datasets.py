"""The datasets, declared as data. The same code stores all of them."""

from store.declarations import Column, ColumnForm, ColumnKind, Dataset, Partition
from store.row_rules import (
    LARGEST_RATIO,
    POSITIVE,
    PRICE,
    QUOTED,
    SIZE,
    SMALLEST_RATIO,
    VOLUME,
    RowRule,
    has_neither_side,
    is_absurd_ratio,
    is_currency_of_nothing,
    is_inconsistent_bar,
    is_invalid_dividend,
    is_invalid_rename,
    is_invalid_spin_off,
    is_invalid_split,
    is_misplaced_bar,
)

TIME, NUMBER, INTEGER, TEXT, BOOLEAN = ColumnKind

_TIMESTAMP = Column(
    "timestamp",
    TIME,
    required=True,
    help="When it happened: ISO 8601 / RFC 3339, to the nanosecond; UTC without offset.",
)
_SEQUENCE = Column(
    "sequence", INTEGER, help="The feed's sequence number, which orders rows of the same time."
)
_CONDITIONS = Column("conditions", TEXT, help="Sale conditions, as words.", form=ColumnForm.WORDS)
_RECEIVED_AT = Column("received_at", TIME, help="When the feed handler received it.")

TRADES = Dataset(
    name="trades",
    row_name="trade",
    columns=(
        _TIMESTAMP,
        Column(
            "price",
            NUMBER,
            required=True,
            help="Price per unit, above zero unless the instrument allows others.",
            lower_bound=PRICE,
        ),
        Column("volume", NUMBER, required=True, help="Units traded, zero or more.", lower_bound=VOLUME),
        Column(
            "trade_id", TEXT, help="The feed's id, unique per event date and exchange.", form=ColumnForm.ID
        ),
        _SEQUENCE,
        Column("exchange", TEXT, help="Where it was traded."),
        _CONDITIONS,
        _RECEIVED_AT,
        Column(
            "buyer_is_maker",
            BOOLEAN,
            help="Whether the buyer's order was resting, so that the seller was the aggressor.",
            later=True,
        ),
    ),
    id_columns=("exchange", "trade_id"),
    arrival_columns=("received_at",),
    named_by=("trade_id", "exchange", "price", "volume"),
    corrected=("price", "volume", "conditions", "sequence"),
    conflict=(
        "trade_id_conflict",
        "a row's id is taken by a stored row, or an earlier row of this batch, with other values",
        "trade_id",
    ),
)


_QUOTE_COLUMNS = (
    _TIMESTAMP,
    Column(
        "bid",
        NUMBER,
        help="Best bid, zero or more; null where there is none. 0 with size 0 is null.",
        lower_bound=QUOTED,
    ),
    Column("bid_size", NUMBER, help="Units bid for.", lower_bound=SIZE),
    Column(
        "ask",
        NUMBER,
        help="Best offer, zero or more; null where there is none. 0 with size 0 is null.",
        lower_bound=QUOTED,
    ),
    Column("ask_size", NUMBER, help="Units offered.", lower_bound=SIZE),
    _SEQUENCE,
    Column("exchange", TEXT, help="Where it was quoted."),
    Column("conditions", TEXT, help="Quote conditions, as words.", form=ColumnForm.WORDS),
    _RECEIVED_AT,
)
_ONE_SIDE = RowRule(
    "missing_side",
    "needs a bid, an ask, or both; a side with price 0 and size 0 is none",
    ("bid", "ask"),
    has_neither_side,
)

# Locked (bid = ask) and crossed (bid > ask) quotes are stored as they are.
QUOTES = Dataset(name="quotes", row_name="quote", columns=_QUOTE_COLUMNS, rules=(_ONE_SIDE,), has_sides=True)
OPTION_QUOTES = Dataset(
    name="option_quotes",
    row_name="option_quote",
    columns=_QUOTE_COLUMNS,
    rules=(_ONE_SIDE,),
    instrument_class="option",
    has_sides=True,
)

BARS = Dataset(
    name="bars",
    row_name="bar",
    columns=(
        Column("timestamp", TIME, required=True, help="The start of the interval; UTC without offset."),
        Column(
            "resolution",
            TEXT,
            required=True,
            help="The interval's length; may instead be a query parameter, for all rows.",
            form=ColumnForm.RESOLUTION,
        ),
        *(
            Column(name, NUMBER, required=True, help=help_text, lower_bound=PRICE)
            for name, help_text in (
                ("open", "The first price."),
                ("high", "The highest price."),
                ("low", "The lowest price."),
                ("close", "The last price."),
            )
        ),
        Column("volume", NUMBER, help="Units traded, zero or more; null if unknown.", lower_bound=VOLUME),
        Column(
            "vwap",
            NUMBER,
            help="The volume-weighted average price; null if unknown.",
            lower_bound=PRICE,
            later=True,
        ),
        Column("trade_count", INTEGER, help="The number of trades; null if unknown.", later=True),
    ),
    id_columns=("resolution", "timestamp"),
    named_by=("resolution",),
    corrected=("open", "high", "low", "close", "volume", "vwap", "trade_count"),
    partition=Partition.YEAR,
    rules=(
        RowRule(
            "inconsistent_bar",
            "open and close must lie between low and high",
            ("open", "high", "low", "close"),
            is_inconsistent_bar,
        ),
        RowRule(
            "misplaced_bar",
            "timestamp must be the start of an interval of the bar's resolution: a multiple of it in UTC; of 1d, 1w and 1M a whole minute, of 1M in"
            " the first two weeks",
            ("timestamp", "resolution"),
            is_misplaced_bar,
        ),
    ),
    conflict=(
        "row_conflict",
        "a bar of this resolution and start is stored, or stands earlier in this batch, with other or fewer values",
        "",
    ),
    query_column="resolution",
)

OPEN_INTEREST = Dataset(
    name="open_interest",
    row_name="open_interest_report",
    columns=(
        Column("timestamp", TIME, required=True, help="When it was reported; UTC without offset."),
        Column(
            "date",
            TIME,
            required=True,
            help="The trading date to which it refers: a date, or its midnight in UTC.",
            form=ColumnForm.DATE,
        ),
        Column(
            "open_interest", NUMBER, required=True, help="Contracts open, zero or more.", lower_bound=SIZE
        ),
        Column(
            "status",
            TEXT,
            required=True,
            help="Whether it is the final figure or a preliminary one.",
            choices=("preliminary", "final"),
        ),
    ),
    id_columns=("date", "status", "timestamp"),
    named_by=("date", "status"),
    corrected=("open_interest",),
    partition=Partition.YEAR,
    conflict=(
        "row_conflict",
        "a figure of this instant, date and status is stored, or stands earlier in this batch, and is another",
        "",
    ),
)

ACTION_KINDS = ("split", "dividend", "special_dividend", "spin_off", "merger", "rename")
CORPORATE_ACTIONS = Dataset(
    name="corporate_actions",
    row_name="corporate_action",
    columns=(
        Column(
            "timestamp",
            TIME,
            required=True,
            help="The ex-date, or an instant of that trading date; UTC without offset.",
        ),
        Column("kind", TEXT, required=True, help="The kind of action.", choices=ACTION_KINDS),
        Column(
            "ratio",
            NUMBER,
            help="New shares per old share, 0.000001 to 1,000,000; of a spin-off or a merger, of the other company.",
            lower_bound=POSITIVE,
        ),
        Column(
            "amount",
            NUMBER,
            help="Cash per share, above zero; of a spin-off, the value distributed per share.",
            lower_bound=POSITIVE,
        ),
        Column("currency", TEXT, help="Currency of the amount (ISO 4217).", form=ColumnForm.CURRENCY),
        Column(
            "action_id",
            TEXT,
            help="The sender's id, which a second action of its kind and date must have.",
            form=ColumnForm.ID,
            later=True,
        ),
    ),
    # An action that is sent again is not stored again: a split stored twice would adjust prices twice.
    id_columns=("kind", "action_id", "timestamp"),
    named_by=("kind", "action_id", "ratio", "amount", "currency"),
    corrected=("ratio", "amount", "currency"),
    partition=Partition.YEAR,
    rules=(
        RowRule(
            "inconsistent_action",
            "a split must have a ratio and no amount",
            ("kind", "ratio", "amount"),
            is_invalid_split,
        ),
        RowRule(
            "inconsistent_action",
            "a dividend must have an amount and no ratio",
            ("kind", "ratio", "amount"),
            is_invalid_dividend,
        ),
        RowRule(
            "inconsistent_action", "a spin-off must have an amount", ("kind", "amount"), is_invalid_spin_off
        ),
        RowRule(
            "inconsistent_action",
            "a rename must have neither a ratio nor an amount",
            ("kind", "ratio", "amount"),
            is_invalid_rename,
        ),
        RowRule(
            "inconsistent_action",
            "an action without an amount must have no currency",
            ("amount", "currency"),
            is_currency_of_nothing,
        ),
        RowRule(
            "out_of_range",
            f"a ratio must be between {SMALLEST_RATIO:f} and {LARGEST_RATIO:,.0f}",
            ("ratio",),
            is_absurd_ratio,
        ),
    ),
    conflict=(
        "row_conflict",
        "an action of this kind and date is stored, or stands earlier in this batch, with other values; give a second one an action_id",
        "",
    ),
)

UNIVERSE_CHANGES = Dataset(
    name="universe_changes",
    row_name="universe_change",
    columns=(
        Column(
            "timestamp",
            TIME,
            required=True,
            help="The instant from which it holds: a date means its midnight; UTC without offset.",
        ),
        Column(
            "member", TEXT, required=True, help="The symbol that joins or leaves.", form=ColumnForm.MEMBER
        ),
        Column("action", TEXT, required=True, help="Whether it joins or leaves.", choices=("add", "remove")),
    ),
    id_columns=("member", "timestamp"),
    partition=Partition.YEAR,
    conflict=(
        "row_conflict",
        "a change of this member and instant is stored, or stands earlier in this batch, and is another",
        "",
    ),
)

TRADING_STATUS = Dataset(
    name="trading_status",
    row_name="status_change",
    columns=(
        Column(
            "timestamp",
            TIME,
            required=True,
            help="The instant from which it holds; UTC without offset.",
        ),
        Column(
            "status",
            TEXT,
            required=True,
            help="Whether trading stops or goes on.",
            choices=("halted", "resumed"),
        ),
        Column("reason", TEXT, help="Why, in the exchange's word, such as T1 or LUDP."),
    ),
    id_columns=("status", "timestamp"),
    named_by=("status",),
    corrected=("reason",),
    partition=Partition.YEAR,
    conflict=(
        "row_conflict",
        "this status is stored of this instant, or stands earlier in this batch, with another reason",
        "",
    ),
)

# The declarations of instruments. All are in one log, so that one commit is all or none of a request. A declaration has no
# event time: it takes effect with its commit. instrument: see `store.instruments`.
INSTRUMENTS = Dataset(
    name="instruments",
    row_name="declaration",
    columns=(
        Column("timestamp", TIME, required=True),
        Column("instrument", TEXT, required=True),
    ),
    partition=Partition.YEAR,
)
DECLARED_INSTRUMENTS = INSTRUMENTS, "ALL"

# The aggregates of trades of expired dates, from which bars are made: what `store.bars.aggregates.Aggregates` has, of each
# interval of so many seconds under a bar policy. A number that the aggregate lacks is null.
KEPT_BARS = Dataset(
    name="kept_bars",
    row_name="kept_bar",
    columns=(
        Column("timestamp", TIME, required=True),
        Column("policy", TEXT, required=True),
        Column("seconds", INTEGER, required=True),
        *(Column(name, NUMBER) for name in ("open", "high", "low", "close")),
        *(
            Column(f"{name}{part}", NUMBER)
            for name in ("volume", "notional")
            for part in ("", "_mid", "_low")
        ),
        *(
            Column(f"{edge}_{name}", INTEGER)
            for edge in ("first", "last")
            for name in ("time", "sequence", "arrival")
        ),
        *(Column(name, INTEGER) for name in ("price_count", "trade_count", "newest")),
    ),
    partition=Partition.YEAR,
)

# Datasets whose symbols are names of universes, not of instruments.
WITHOUT_INSTRUMENTS = (UNIVERSE_CHANGES,)

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        TRADES,
        QUOTES,
        BARS,
        OPEN_INTEREST,
        OPTION_QUOTES,
        CORPORATE_ACTIONS,
        UNIVERSE_CHANGES,
        TRADING_STATUS,
    )
}
# With those that clients neither send nor read as rows.
# Kept bars come after trades: a copy that has the record of an expiry then has its bars, too.
STORED_DATASETS = {**DATASETS, KEPT_BARS.name: KEPT_BARS, INSTRUMENTS.name: INSTRUMENTS}
# Those whose stored rows clients may cancel and correct.
CORRECTED = tuple(dataset for dataset in DATASETS.values() if dataset.corrected)
