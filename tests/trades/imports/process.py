"""`python -m tests.trades.imports.process BLOCK_BYTES FILE [SECONDS [stored]]`: imports a file into DATA_DIR's store, in small blocks.

After SECONDS of its processor time, counted from when it is ready or has stored more, the kernel ends it as
kill -9 does: nothing of it runs any more. By its own time that is amid its work, whatever else the machine
does.
"""

import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import django


def main(block_bytes: int, file: str, seconds: str = "", since: str = "ready") -> None:
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 after the set-up

    from trades.imports import blocks, sort  # noqa: PLC0415

    blocks.BLOCK_BYTES = block_bytes
    sort.RUN_ROWS, sort.PIECE_ROWS, sort.ROWS_AT_ONCE = (
        block_bytes // 20,
        block_bytes // 100,
        block_bytes // 40,
    )
    end_later = partial(signal.setitimer, signal.ITIMER_PROF, float(seconds)) if seconds else None
    if end_later is not None and since == "stored":
        when_more_is_stored(end_later)
    print("ready", flush=True)  # noqa: T201
    if end_later is not None and since == "ready":
        end_later()
    call_command("import", file, stdout=sys.stdout, yes=True)


def when_more_is_stored(act: Callable[[], object]) -> None:
    """Act once, when rows are stored that were not stored before."""
    from trades.imports.run import FileImport, ImportStage  # noqa: PLC0415 after the set-up

    report, has_acted = FileImport._report, [False]

    def reported(run: FileImport, stage: ImportStage, done: int, total: int) -> None:
        report(run, stage, done, total)
        if run.counts.stored and not has_acted[0]:
            has_acted[0] = True
            act()

    replaced: Any = FileImport
    replaced._report = reported


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
