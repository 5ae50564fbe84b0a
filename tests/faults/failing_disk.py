"""A disk that does not confirm commit records while a file is there: a switch between processes."""

import errno
import os
from pathlib import Path

from store.csv.files.disk import Disk
from tests.faults.power import is_log


class RecordSyncFails(Disk):
    """Every sync of a log fails while `switch` exists."""

    def __init__(self, switch: Path) -> None:
        super().__init__()
        self.switch = switch

    def sync(self, descriptor: int) -> None:
        if is_log(descriptor) and self.switch.exists():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(descriptor)
