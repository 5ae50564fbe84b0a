"""Names of this project's WSGI variables (Django's META): results of earlier steps in handling a request."""

# The request's ReceivedCall.
RECEIVED_CALL = "marketdata.received_call"
# The name of the request's route, for metrics.
ROUTE = "marketdata.route"
# The Admission; absent until the request is charged.
ADMISSION = "marketdata.admission"
# The ChargedCall; absent until the request is charged.
CHARGED_CALL = "marketdata.charged_call"
# The identity of the caller (`key:12`); present if the credential was accepted before the body was read.
CALLER = "marketdata.caller"
# The VerifiedSignature; present if the signature was verified before the body was read.
VERIFIED_SIGNATURE = "marketdata.verified_signature"
# A function that any thread calls once a large body is decoded. Its argument is the bytes of memory that are still
# needed, until the answer; the rest of what was reserved is free.
BODY_DECODED = "marketdata.body_decoded"
# The object that has written the body to a file while it arrived.
BODY_WRITER = "marketdata.body_writer"
# The digest of the API key that answers for a call without a credential; present if there is one.
ANSWERING_KEY = "marketdata.answering_key"
# Present if the body was not read to its end.
BODY_UNREAD = "marketdata.body_unread"
# The largest body in bytes; present if the body was larger and the answer is 413.
BODY_TOO_LARGE = "marketdata.body_too_large"
# The RepeatableAnswer of a content that was answered.
REPEATABLE_ANSWER = "marketdata.repeatable_answer"
# True if the request had X-Forwarded-For, even an empty one: a proxy stands between this server and the client.
IS_FORWARDED = "marketdata.is_forwarded"
