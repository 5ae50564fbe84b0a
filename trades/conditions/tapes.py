"""The letters by which the American tapes (CTA, UTP) name exchanges, by MIC (ISO 10383)."""

# Source: the participant ids of CTS and UTP; Alpaca's and Polygon's APIs have the same.
EXCHANGE_LETTERS = {
    "XASE": "A", "XBOS": "B", "XCIS": "C", "FINR": "D", "EPRL": "H", "XISE": "I", "EDGA": "J", "EDGX": "K", "LTSE": "L",
    "XCHI": "M", "XNYS": "N", "ARCX": "P", "XNAS": "Q", "MEMX": "U", "IEXG": "V", "XCBO": "W", "XPHL": "X", "BATY": "Y", "BATS": "Z",
}  # fmt: skip
EXCHANGES_BY_LETTER = {letter: exchange for exchange, letter in EXCHANGE_LETTERS.items()}
