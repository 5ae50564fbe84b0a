"""What tests of uploads share."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def uploads(settings: Any, tmp_path: Path) -> Path:
    """The folder of uploads."""
    settings.UPLOADS_DIR = tmp_path / "uploads"
    return tmp_path / "uploads"
