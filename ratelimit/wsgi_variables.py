"""What is found out about a call on its way, by the WSGI variables (Django's META) that keep it."""

# How the call was admitted; without it nothing was charged.
ADMISSION = "marketdata.admission"
# The signature whose headers were verified before the body was read.
VERIFIED_SIGNATURE = "marketdata.verified_signature"
# There, where a body was not read to its end.
BODY_UNREAD = "marketdata.body_unread"
