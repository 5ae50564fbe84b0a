"""Currencies by ISO 4217 code, with four precious metals, and the pairs in symbols of foreign exchange."""

import re
from typing import NamedTuple

METALS = frozenset({"XAG", "XAU", "XPD", "XPT"})
# The active codes of ISO 4217 (list one) without funds, tests and units of account.
CURRENCIES = METALS | frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
    CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG
    HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA
    MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD
    RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX
    USD UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905 codes are read as words
)
_PAIR = re.compile("([A-Z]{3})-?([A-Z]{3})")


class CurrencyPair(NamedTuple):
    """The currency that is bought, and the currency of its price."""

    base: str
    quote: str


def currency_pair(symbol: str) -> CurrencyPair | None:
    """Return the pair of a symbol such as `EUR-USD` or `EURUSD`; None for any other symbol."""
    match = _PAIR.fullmatch(symbol)
    if match is None or match[1] == match[2] or not CURRENCIES.issuperset(match.groups()):
        return None
    return CurrencyPair(match[1], match[2])
