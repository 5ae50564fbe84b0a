"""Every error code that a client can meet, declared once.

The problem handler, the front's refusals, the OpenAPI document, the page of errors and the tests take status
and meaning from here. The rooms below raise errors that carry a code and know nothing of HTTP.
"""

from marketdata_project.error_codes.callers import CALLERS
from marketdata_project.error_codes.capacity import CAPACITY
from marketdata_project.error_codes.contents import CONTENTS
from marketdata_project.error_codes.error_code import ErrorCode, GivenBy, NextStep
from marketdata_project.error_codes.malformed import MALFORMED
from marketdata_project.error_codes.resources import RESOURCES

__all__ = ["DECLARED", "ERROR_CODES", "ErrorCode", "GivenBy", "NextStep"]

ERROR_CODES = (*MALFORMED, *CALLERS, *RESOURCES, *CONTENTS, *CAPACITY)
DECLARED = {error.code: error for error in ERROR_CODES}
