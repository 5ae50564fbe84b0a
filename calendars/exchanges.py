"""The exchanges by MIC (ISO 10383), and FOREX, each with the name of its calendar in pandas-market-calendars."""

from calendars.declared import EXAMPLE
from calendars.exceptions import UnknownExchange, nearest_name

# The calendar of foreign exchange, which has no exchange: Sunday 17:00 to Friday 17:00 in New York.
FOREX = "FOREX"
# The usual hours of each exchange. A product with other hours declares its own calendar (`Instrument.calendar`).
EXCHANGES: dict[str, str] = {
    # US stocks have the same hours on all exchanges, including pre- and post-market. Stock options close when stocks
    # do, so they use the same calendar; the library's Cboe calendar lacks the early close on Christmas Eve.
    **dict.fromkeys(
        (
            *("XNYS", "XNAS", "XASE", "ARCX", "XNGS", "XNMS", "XNCM", "XCIS", "XCHI", "XBOS", "XPHL", "XPSX"),
            *("BATS", "BATY", "EDGA", "EDGX", "IEXG", "MEMX", "LTSE", "EPRL"),
            *("XCBO", "C2OX", "BATO", "EDGO", "XISX", "GMNI", "MCRY", "XMIO", "EMLD", "MPRL", "MXOP", "XBXO", "AMXO", "ARCO", "XNDQ", "OPRA"),
        ),
        "NYSE",
    ),
    # US futures. The calendar is that of the exchange's main product: equity indices for XCME and GLBX, grains
    # for XCBT.
    "XCME": "CME Globex Equity",
    "GLBX": "CME Globex Equity",
    "XCBT": "CBOT_Agriculture",
    "XNYM": "CMEGlobex_Energy",
    "XCEC": "CMEGlobex_Metals",
    "XCBF": "CFE",
    "IFUS": "IEPA",
    # The other calendars are named by the exchange's MIC.
    **{
        mic: mic
        for mic in (
            *("AIXK", "BVMF", "XAMS", "XASX", "XBDA", "XBKK", "XBOG", "XBOM", "XBRA", "XBRU", "XBUD", "XBUE"),
            *("XCSE", "XDUB", "XDUS", "XEEE", "XETR", "XEUR", "XFRA", "XHAM", "XHEL", "XHKG", "XICE", "XIDX"),
            *("XIST", "XJSE", "XKAR", "XKLS", "XKRX", "XLIM", "XLIS", "XLIT", "XLJU", "XLON", "XLUX", "XMAD"),
            *("XMEX", "XMIL", "XMOS", "XNSE", "XNZE", "XOSL", "XPAR", "XPHS", "XPRA", "XRIS", "XSAU", "XSES"),
            *("XSHG", "XSTO", "XSTU", "XSWX", "XTAE", "XTAI", "XTAL", "XTKS", "XTSE", "XWAR", "XWBO", "XZAG"),
        )
    },
    "XJPX": "XTKS",
    "XSHE": "XSHG",
    "XTSX": "XTSE",
    FOREX: FOREX,
}  # fmt: skip


def calendar_name(exchange: str) -> str:
    """Return the name of an exchange's calendar, by MIC. Raises `UnknownExchange`."""
    try:
        return EXCHANGES[exchange]
    except KeyError:
        hint = nearest_name(exchange, EXCHANGES) or f"; known are {', '.join(sorted(EXCHANGES))}"
        raise UnknownExchange(
            f"no calendar is known for the exchange {exchange[:32]!r}{hint}. An instrument of another exchange"
            f" declares its hours as its calendar, such as: {EXAMPLE}"
        ) from None
