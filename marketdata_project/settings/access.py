"""Settings of callers, access, limits and the audit log."""

from marketdata_project.settings.environment import env, integer, networks, secret

# The issuer (`iss`) in the tokens of sessions. Installations should not share a secret; if they do, their issuers must differ.
TOKEN_ISSUER = env.str("TOKEN_ISSUER", "marketdata")
# Trading calls per second, the same for every tier.
TRADING_RATE = integer("TRADING_RATE", 1)
# Proxies whose X-Forwarded-For, X-Forwarded-Proto and X-SSL-Client headers are used.
TRUSTED_PROXIES = networks("TRUSTED_PROXIES")
# Networks that may read /metrics; others get 404.
METRICS_NETWORKS = networks("METRICS_NETWORKS", default="127.0.0.0/8,::1")
# Whether TRUSTED_PROXIES set X-Forwarded-Proto to the scheme of the client's connection.
BEHIND_TLS_PROXY = env.bool("BEHIND_TLS_PROXY", False)
# The secret from which all keys' signing secrets are derived; SECRET_KEY if it is empty.
SIGNING_SECRET = secret("SIGNING_SECRET")

# The HMAC key of the audit records' hash chain; SECRET_KEY if it is empty.
AUDIT_KEY = secret("AUDIT_KEY")
AUDIT_RETENTION_DAYS = integer("AUDIT_RETENTION_DAYS", 365)

# The greatest age of a signature, in seconds.
SIGNATURE_WINDOW_SECONDS = integer("SIGNATURE_WINDOW_SECONDS", 30)
# Requests per second of anonymous clients, by address.
ADDRESS_RATE = integer("ADDRESS_RATE", 10)
# Milliseconds of a processor that one token of a call pays; 0 if calls do not pay for their time.
PROCESSOR_MS_PER_TOKEN = integer("PROCESSOR_MS_PER_TOKEN", 10)
