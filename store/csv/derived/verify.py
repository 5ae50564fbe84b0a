"""Checks the derived files of a log: its index against its records, and the segments by their checksums."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from store.csv.derived.manifest import MANIFEST_FILE, read_manifest
from store.csv.derived.segment_files import Seal, SegmentDamaged, check_file
from store.csv.log.commit_log import COMMITS_FILE
from store.csv.log.index_file import DERIVED_FOLDER, INDEX_FILE, IndexFile
from store.csv.log.log_index import IndexDamaged, IndexUnavailable
from store.exceptions import DataDamaged
from store.maintained import LogFinding

_REBUILD = "run `manage.py store rebuild`"


def derived_findings(folder: Path) -> Iterator[LogFinding]:
    """Check the derived files of a log, one finding for each. Reads do without a damaged one, and make it again."""
    # A damaged record was reported when the log was walked.
    with suppress(DataDamaged):
        try:
            # A file that is in use is no damage.
            with suppress(IndexUnavailable):
                IndexFile(folder / COMMITS_FILE).check()
        except IndexDamaged as error:
            message = f"is an index that differs from the records ({error}): {_REBUILD}"
            yield LogFinding(f"{DERIVED_FOLDER}/{INDEX_FILE}", 0, message)
    derived = folder / DERIVED_FOLDER
    manifest = read_manifest(derived)
    if manifest is None:
        if (derived / MANIFEST_FILE).exists():
            yield LogFinding(f"{DERIVED_FOLDER}/{MANIFEST_FILE}", 0, f"begins no manifest: {_REBUILD}")
        return
    for segment in manifest.segments:
        for name, seal in segment.seals.items():
            try:
                check_file(derived / name, seal)
            except SegmentDamaged as error:
                # A worker may have replaced the file meanwhile.
                if _is_named(derived, name, seal):
                    yield LogFinding(
                        f"{DERIVED_FOLDER}/{name}", 0, f"begins a damaged file ({error}): {_REBUILD}"
                    )


def _is_named(folder: Path, name: str, seal: Seal) -> bool:
    """Return whether the present manifest has a file with this seal."""
    manifest = read_manifest(folder)
    return manifest is not None and any(each.seals.get(name) == seal for each in manifest.segments)
