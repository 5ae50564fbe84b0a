"""`python -m tests.trades.imports.symbols_process FILE [SECONDS]`: imports a file by symbols, in small commits.

After SECONDS of its processor time the kernel ends it as kill -9 does.
"""

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import django


def main(file: str, seconds: str = "") -> None:
    django.setup()
    from store.datasets import TRADES  # noqa: PLC0415 after the set-up
    from trades.imports import blocks, sort, symbol_runs  # noqa: PLC0415
    from trades.imports.formats import opened_file  # noqa: PLC0415
    from trades.imports.layout import ReadOptions  # noqa: PLC0415
    from trades.imports.services import symbols_import  # noqa: PLC0415

    blocks.BLOCK_BYTES, symbol_runs.COMMIT_ROWS = 20_000, 500
    sort.RUN_ROWS, sort.PIECE_ROWS, sort.ROWS_AT_ONCE = 1_000, 100, 200
    if seconds:
        signal.setitimer(signal.ITIMER_PROF, float(seconds))
    reading = symbols_import(
        file=opened_file(Path(file)),
        options=ReadOptions(TRADES),
        spool=Path(file).parent / "spool",
        caller="test",
        request_key=lambda piece: f"job:1:{piece}",
    )
    reading.read(lambda _: None)
    print(json.dumps([asdict(each) for each in reading.store(lambda _: None)]))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
