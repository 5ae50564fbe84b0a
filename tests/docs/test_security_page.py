"""The page of security names all ten risks, and limits that are the program's own."""

import re

from django.conf import settings
from django.core.checks import registry

from front import body, framing, limits, protocol, sending, sockets
from marketdata_project.error_codes import ERROR_CODES
from stats.live.client import MOST_CHANNELS
from stats.live.connection import MOST_WAITING
from trades.children import MEMORY_BYTES, MEMORY_FACTOR
from trades.decoder import LARGE_BYTES
from trades.formats.csv_body import LINES_LIMIT
from web.endpoints import SMALL_BODY_BYTES
from web.requests.json_document import CONTAINERS_LIMIT, DEPTH_LIMIT, VALUES_LIMIT
from web.requests.parsers import DOCUMENT_BYTES

PAGE = (settings.BASE_DIR / "docs" / "security.md").read_text()


def test_each_of_the_ten_risks_is_on_the_page():
    risks = re.findall(r"^\| (API\d+) ", PAGE, re.MULTILINE)
    assert risks == [f"API{number}" for number in range(1, 11)]


def test_the_limits_are_the_programs_own():
    table = PAGE.partition("## Limits on what comes in")[2].partition("## ")[0]
    said = [
        f"{framing.LINE_BYTES // 1024} KiB",
        f"{framing.MOST_HEADERS}; {framing.LINE_BYTES // 1024} KiB; {framing.HEADER_BYTES // 1024} KiB",
        f"{protocol.HEADER_SECONDS - protocol.CHECK_SECONDS:.0f} to {protocol.HEADER_SECONDS:.0f} s; {body.GRACE_SECONDS:.0f} s plus 1 s per {body.SLOWEST_BYTES_PER_SECOND // 1024} KiB",
        f"{settings.DATA_UPLOAD_MAX_NUMBER_FIELDS:,}; none",
        f"{body.PROGRESS_SECONDS:.0f} s",
        f"{settings.MAX_BODY_BYTES // 2**20} MiB",
        f"{DOCUMENT_BYTES // 2**20} MiB",
        f"{SMALL_BODY_BYTES // 1024} KiB",
        f"{DEPTH_LIMIT}; {CONTAINERS_LIMIT:,}; {VALUES_LIMIT:,}",
        f"{LINES_LIMIT:,}",
        f"{MEMORY_FACTOR} times its length and {MEMORY_BYTES // 2**20} MiB (on Linux)",
        f"{limits.MOST_DECODING_BYTES // 2**20} MiB together, one body of a caller; two of more than {LARGE_BYTES // 1024} KiB",
        f"{limits.MOST_BODY_BYTES // 2**20} MiB together",
        f"{limits.MOST_SMALL_BODY_BYTES // 2**20} MiB together, a quarter for one address",
        f"{sending.STALLED_SECONDS:.0f} s",
        f"{sockets.MESSAGE_BYTES // 1024} KiB; {sockets.MOST_FRAGMENTS}; {MOST_CHANNELS:,}; {MOST_WAITING:,}",
    ]
    assert [words for words in said if f"| {words} |" not in table] == []
    codes = {error.code for error in ERROR_CODES}
    named = set(re.findall(r"\b\d{3} ((?:`\w+`(?:, )?)+)", table))
    assert named
    assert {code for words in named for code in re.findall(r"`(\w+)`", words)} <= codes


def test_the_checks_that_are_named_are_there():
    documented = "\n".join(
        check.__doc__ or "" for check in registry.registry.get_checks(include_deployment_checks=True)
    )
    named = set(re.findall(r"`(marketdata\.[EW]\d+)`", PAGE))
    assert named
    assert [check for check in named if check not in documented] == []
