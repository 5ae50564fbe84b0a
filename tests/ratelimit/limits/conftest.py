import pytest

from tests.ratelimit.limits.outages import World


@pytest.fixture
def made_world(redis_server, monkeypatch):
    def made(*, workers: int = 1) -> World:
        world = World(workers=workers)
        monkeypatch.setattr("ratelimit.limits.limiter.take_shared", world.take_shared)
        return world

    return made
