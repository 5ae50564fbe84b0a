"""Fixtures of the read side."""

import pytest

from stats.caching import shared_room


@pytest.fixture
def every_answer_costly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis gets every answer at its first miss."""
    monkeypatch.setattr(shared_room, "COSTLY_SECONDS", 0.0)
