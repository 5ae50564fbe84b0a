"""What the feed of the sample needs in an installation: its coin, and a key of its own."""

from datetime import datetime
from pathlib import Path

from ratelimit.keys.api_keys import digest
from ratelimit.keys.selectors import key_list
from ratelimit.keys.services import key_create
from trades.instruments.services import instruments_declare
from trades.sample.feed import COIN_INSTRUMENT
from trades.stores import market_store

KEY_FILE = "sample_feed.key"
KEY_NAME = "sample feed"
_ACTOR = "command:serve"


def feed_prepare(run_dir: Path, *, now: datetime) -> None:
    """Declare the coin, and make the feed's key unless the file in `run_dir` has a valid one."""
    if not market_store().declared_instruments(symbol=COIN_INSTRUMENT.symbol):
        instruments_declare(instruments=[COIN_INSTRUMENT], actor=_ACTOR)
    path = run_dir / KEY_FILE
    path.touch(mode=0o600)
    stored = key_list().filter(digest=digest(path.read_text())).first()
    if stored is None or stored.state_at(now) != "active":
        created = key_create(name=KEY_NAME, tier="internal", scopes=["market:write"], now=now, actor=_ACTOR)
        path.write_text(created.key)
