"""Makes `marketdata_client/_sync` from `marketdata_client/_async`, by replacing names.

python unasync.py            writes the modules
python unasync.py --check    ends with 1 if a module is not what would be written
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent / "marketdata_client"
REPLACEMENTS = [
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsyncGenerator\[(.+), None\]", r"Generator[\1, None, None]"),
    (r"\bAsyncClient:", "SyncClient:"),
    (r"\bAsync(\w+)", r"\1"),
    (r"\basync_receive\b", "receive"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\baclos(e|ing)\b", r"clos\1"),
    (r"\baiter_raw\b", "iter_raw"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\bimport asyncio\b", "import time"),
    (r"\bwebsockets\.asyncio\b", "websockets.sync"),
    (r"\b_async\b", "_sync"),
    (r"programs with asyncio", "programs with threads"),
]


def made(source: Path) -> str:
    """Return the text of the module that is made from a source."""
    text = source.read_text()
    for pattern, replacement in REPLACEMENTS:
        text = re.sub(pattern, replacement, text)
    return f"# Made by unasync.py from _async/{source.name}. Change that, and make it again.\n{text}"


def differing() -> Iterator[tuple[Path, str | None]]:
    """Yield the modules of `_sync` that are not as made, with the text that they should have; None: they should not be."""
    sources = {path.name: path for path in (PACKAGE / "_async").glob("*.py")}
    present = {path.name for path in (PACKAGE / "_sync").glob("*.py")}
    for name in sorted(sources.keys() | present):
        target = PACKAGE / "_sync" / name
        wanted = made(sources[name]) if name in sources else None
        if wanted != (target.read_text() if target.exists() else None):
            yield target, wanted


def main(arguments: list[str]) -> int:
    found = list(differing())
    if arguments == ["--check"]:
        sys.stdout.writelines(f"{path} is not what unasync.py makes\n" for path, _ in found)
        return 1 if found else 0
    for path, wanted in found:
        if wanted is None:
            path.unlink()
        else:
            path.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
