"""`python -m tests.trades.imports.process BLOCK_BYTES FILE`: imports a file into DATA_DIR's store, in small blocks."""

import sys

import django


def main(block_bytes: int, file: str) -> None:
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 after the set-up

    from trades.imports import batches, blocks, spool  # noqa: PLC0415

    blocks.BLOCK_BYTES = block_bytes
    for module in (spool, batches):
        module.ROWS_AT_ONCE = block_bytes // 40  # type: ignore[attr-defined]
    print("ready", flush=True)  # noqa: T201
    call_command("import_csv", file, stdout=sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
