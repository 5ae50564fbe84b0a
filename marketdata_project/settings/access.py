"""Settings of callers, access, limits and the audit log."""

from django.conf import global_settings

from marketdata_project.settings.environment import env, integer, networks, secret

OAUTH2_PROVIDER_APPLICATION_MODEL = "ratelimit.OAuthClient"
# Programs get tokens by the client-credentials grant only; the options of other grants are as strict as possible.
OAUTH2_PROVIDER = {
    "OAUTH2_SERVER_CLASS": "oauthlib.oauth2.BackendApplicationServer",
    "OAUTH2_VALIDATOR_CLASS": "ratelimit.credentials.programs.server.ClientValidator",
    "SCOPES_BACKEND_CLASS": "ratelimit.credentials.programs.server.ClientScopes",
    "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
    "CLIENT_SECRET_HASHER": "pbkdf2_sha256_of_random",
    "ACCESS_TOKEN_GENERATOR": "ratelimit.credentials.programs.server.new_token",
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
    "PKCE_REQUIRED": True,
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
    "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_SCHEME": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_MATCHING": True,
    "COMPLIANT_BCP_RFC9700_PKCE_REQUIRED": True,
}
# The first hasher is for passwords, the last for random secrets.
PASSWORD_HASHERS = [
    *global_settings.PASSWORD_HASHERS,
    "ratelimit.credentials.programs.server.SecretHasher",
]
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
