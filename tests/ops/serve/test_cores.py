"""The cores that web processes keep to, by the setting and by what the machine has."""

import pytest

from ops.serve import cores


@pytest.mark.parametrize(
    ("setting", "workers", "expected"),
    [
        ("auto", 3, [1, 4, 5]),
        ("auto", 2, []),
        ("auto", 4, []),
        ("none", 3, []),
        ("4", 3, [4]),
        ("5,1", 2, [5, 1]),
    ],
)
def test_cores_of_a_machine_with_three(monkeypatch, setting, workers, expected):
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {5, 1, 4})
    assert list(cores.worker_cores(setting, workers=workers)) == expected


@pytest.mark.parametrize("setting", ["auto", "0,1"])
def test_nobody_keeps_to_a_core_where_the_system_cannot(monkeypatch, setting):
    monkeypatch.delattr("os.sched_getaffinity")
    assert list(cores.worker_cores(setting, workers=2)) == []
