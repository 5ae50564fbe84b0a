"""What the simulated disks of other tests stand for: the kernel is asked to make bytes and names durable."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from store.csv.files.disk import Disk


@pytest.mark.parametrize("has_fdatasync", [True, False], ids=["Linux", "macOS"])
def test_a_sync_is_the_kernels(monkeypatch, has_fdatasync: bool):
    """A pipe can be written to but not synced, and the kernel says so."""
    if not has_fdatasync:
        monkeypatch.delattr(os, "fdatasync", raising=False)
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer), pytest.raises(OSError) as failed:
        Disk().sync(writer)
    assert failed.value.errno == errno.EINVAL


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has a folder that cannot be synced")
def test_a_sync_of_a_folder_is_the_kernels():
    with pytest.raises(OSError) as failed:
        Disk().sync_folder(Path("/proc/self"))
    assert failed.value.errno == errno.EINVAL


@pytest.mark.parametrize("code", [None, errno.ENOTSUP, errno.EIO], ids=["offered", "not offered", "failed"])
def test_a_sync_of_macos_empties_the_drives_cache_if_the_file_system_can(
    monkeypatch, tmp_path: Path, code: int | None
):
    calls: list[object] = []

    def full_sync(descriptor: int, command: int) -> None:
        calls.append(command)
        if code is not None:
            raise OSError(code, os.strerror(code))

    monkeypatch.delattr(os, "fdatasync", raising=False)
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", full_sync)
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("fsync"))
    with (tmp_path / "file").open("wb") as file:
        if code == errno.EIO:
            with pytest.raises(OSError, match="Input/output"):
                Disk().sync(file.fileno())
        else:
            Disk().sync(file.fileno())
    assert calls == ([51, "fsync"] if code == errno.ENOTSUP else [51])
