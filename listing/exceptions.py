"""What can be wrong with the query of a list, beside what can be with any: `http_requests.exceptions`."""

from http_requests.exceptions import RequestError


class InvalidCursor(RequestError):
    """The cursor is forged, cut, or of another query; begin again without one."""

    def __init__(self, message: str) -> None:
        super().__init__("invalid_cursor", message)
