"""WSGI variables (Django's META) that hold results of earlier steps of a call."""

# The Admission; absent if nothing was charged yet.
ADMISSION = "marketdata.admission"
# The VerifiedSignature, made before the body was read.
VERIFIED_SIGNATURE = "marketdata.verified_signature"
# Present if the body was not read to its end.
BODY_UNREAD = "marketdata.body_unread"
