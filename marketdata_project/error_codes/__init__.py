"""Every error code that a client can meet, declared once: for the documentation page, the schema and the tests."""

from marketdata_project.error_codes.callers import CALLERS
from marketdata_project.error_codes.capacity import CAPACITY
from marketdata_project.error_codes.contents import CONTENTS
from marketdata_project.error_codes.error_code import ErrorCode
from marketdata_project.error_codes.malformed import MALFORMED
from marketdata_project.error_codes.resources import RESOURCES

__all__ = ["ERROR_CODES", "ErrorCode"]

ERROR_CODES = (*MALFORMED, *CALLERS, *RESOURCES, *CONTENTS, *CAPACITY)
