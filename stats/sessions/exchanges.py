"""The calendar of each exchange in pandas-market-calendars, by MIC (ISO 10383)."""

from http_requests.nearest_name import nearest_or_all
from stats.exceptions import UnknownExchange

# One exchange has many products; one whose own hours differ names its calendar (`Instrument.calendar`).
EXCHANGES: dict[str, str] = {
    # Stocks of the United States trade by one set of hours everywhere, before and after the session, too.
    # Options on them close with them: the library's calendar for Cboe has no early close on Christmas Eve.
    **dict.fromkeys(
        (
            *("XNYS", "XNAS", "XASE", "ARCX", "XNGS", "XNMS", "XNCM", "XCIS", "XCHI", "XBOS", "XPHL", "XPSX"),
            *("BATS", "BATY", "EDGA", "EDGX", "IEXG", "MEMX", "LTSE", "EPRL"),
            *("XCBO", "C2OX", "BATO", "EDGO", "XISX", "GMNI", "MCRY", "XMIO", "EMLD", "MPRL", "MXOP", "XBXO", "AMXO", "ARCO", "XNDQ", "OPRA"),
        ),
        "NYSE",
    ),
    # Futures of the United States. Equity index is what XCME and GLBX trade most, grains are XCBT's own.
    "XCME": "CME Globex Equity",
    "GLBX": "CME Globex Equity",
    "XCBT": "CBOT_Agriculture",
    "XNYM": "CMEGlobex_Energy",
    "XCEC": "CMEGlobex_Metals",
    "XCBF": "CFE",
    "IFUS": "IEPA",
    # Everywhere else a calendar bears the exchange's own code.
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
}  # fmt: skip


def calendar_name(exchange: str) -> str:
    """The name of an exchange's calendar. Raises `UnknownExchange`."""
    try:
        return EXCHANGES[exchange]
    except KeyError:
        hint = nearest_or_all(exchange, EXCHANGES)
        raise UnknownExchange(f"no calendar is known for the exchange {exchange[:32]!r}{hint}") from None
