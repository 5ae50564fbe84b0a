"""What the simulated disks of other tests stand for: the kernel is asked to make bytes and names durable."""

import errno
import os
from pathlib import Path

import pytest

from store.csv.files.disk import Disk


def test_a_sync_is_the_kernels():
    """A pipe can be written to but not synced, and the kernel says so."""
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer), pytest.raises(OSError) as failed:
        Disk().sync(writer)
    assert failed.value.errno == errno.EINVAL


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has a folder that cannot be synced")
def test_a_sync_of_a_folder_is_the_kernels():
    with pytest.raises(OSError) as failed:
        Disk().sync_folder(Path("/proc/self"))
    assert failed.value.errno == errno.EINVAL
