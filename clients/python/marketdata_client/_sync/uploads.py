# Made by unasync.py from _async/uploads.py. Change that, and make it again.
"""Sends a file piece by piece. What broke goes on where the server says."""

from collections.abc import Callable
from pathlib import Path

from marketdata_client._sync.session import Session
from marketdata_client.errors import Refused, Unreachable
from marketdata_client.jobs import Job
from marketdata_client.uploads import offset_in, piece_request, state_request, uploading


def send(session: Session, path: Path, upload_id: str, tell: Callable[[Job], object]) -> None:
    """Send what is missing of an upload."""
    size, failures = path.stat().st_size, 0
    offset = offset_in(session.json_object(state_request(upload_id)))
    while offset is not None:
        tell(uploading(upload_id, offset, size))
        try:
            offset = offset_in(session.json_object(piece_request(upload_id, path, offset)))
            failures = 0
            continue
        except (Refused, Unreachable) as error:
            failures += 1
            pause = session.config.retries.pause(failures, error)
            if pause is None:
                raise
            session.config.retries.on_pause(error, pause)
        session.sleep(pause)
        offset = offset_in(session.json_object(state_request(upload_id)))
    tell(uploading(upload_id, size, size))
