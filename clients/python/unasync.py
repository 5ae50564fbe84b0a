"""Makes `marketdata_client/_sync` from `marketdata_client/_async`, by replacing names.

python unasync.py            writes the modules
python unasync.py --check    ends with 1 if a module is not what would be written
"""

import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "marketdata_client"
REPLACEMENTS = [
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsyncGenerator\[(.+), None\]", r"Generator[\1, None, None]"),
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


def differing() -> dict[Path, str]:
    """Return the modules of `_sync` that are not as made, with the text that they should have."""
    made_texts = {PACKAGE / "_sync" / path.name: made(path) for path in (PACKAGE / "_async").glob("*.py")}
    return {path: text for path, text in made_texts.items() if not path.exists() or path.read_text() != text}


def main(arguments: list[str]) -> int:
    found = differing()
    if arguments == ["--check"]:
        sys.stdout.writelines(f"{path} is not what unasync.py makes\n" for path in found)
        return 1 if found else 0
    for path, text in found.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
