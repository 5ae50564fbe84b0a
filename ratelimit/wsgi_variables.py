"""Names of WSGI variables (Django's META) with the results of earlier steps in handling a request."""

# The Admission; absent until the request is charged.
ADMISSION = "marketdata.admission"
# The VerifiedSignature; present if the signature was verified before the body was read.
VERIFIED_SIGNATURE = "marketdata.verified_signature"
# Present if the body was not read to its end.
BODY_UNREAD = "marketdata.body_unread"
