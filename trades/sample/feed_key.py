"""The API key of the sample's feed."""

from datetime import datetime
from pathlib import Path

from ratelimit.keys.api_keys import digest
from ratelimit.keys.selectors import key_list
from ratelimit.keys.services import key_create

KEY_FILE = "sample_feed.key"
KEY_NAME = "sample feed"


def feed_prepare(run_dir: Path, *, now: datetime) -> None:
    """Make the feed's key, unless the file in `run_dir` has a valid one."""
    path = run_dir / KEY_FILE
    path.touch(mode=0o600)
    stored = key_list().filter(digest=digest(path.read_text())).first()
    if stored is None or stored.state_at(now) != "active":
        scopes = ["market:write"]
        created = key_create(name=KEY_NAME, tier="internal", scopes=scopes, now=now, actor="command:serve")
        path.write_text(created.key)
