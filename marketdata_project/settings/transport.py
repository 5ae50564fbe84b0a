"""Settings of security headers, cookies, logins, and the largest request."""

from csp import constants as csp

from marketdata_project.settings.environment import integer

# Scripts and styles are loaded only from our own files, so that text injected into a page is never executed.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [csp.NONE],
        "script-src": [csp.SELF],
        "style-src": [csp.SELF],
        # Swagger UI and the admin have small images in their styles.
        "img-src": [csp.SELF, "data:"],
        "font-src": [csp.SELF],
        "connect-src": [csp.SELF],
        "form-action": [csp.SELF],
        "frame-ancestors": [csp.NONE],
        "object-src": [csp.NONE],
        "base-uri": [csp.NONE],
    },
}
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"

LOGIN_REDIRECT_URL = "/"
SESSION_COOKIE_AGE = integer("SESSION_SECONDS", 8 * 3600)
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Strict"
# Whether a browser's cookies are sent over TLS only; production sets it.
SESSION_COOKIE_SECURE = False
REFRESH_COOKIE_NAME = "refresh"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Strict"
CSRF_FAILURE_VIEW = "marketdata_project.problems.csrf_failure"
AUTHENTICATION_BACKENDS = ["ratelimit.credentials.logins.PasswordLogin"]
# Seconds for which the link that `serve` prints is valid.
PASSWORD_RESET_TIMEOUT = 3600
# Attempts to log in per second from one address.
LOGIN_RATE = integer("LOGIN_RATE", 2)
# Failed attempts, from one address or with one name, in five minutes.
LOGIN_FREE_FAILURES = integer("LOGIN_FREE_FAILURES", 5)
_VALIDATION = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_VALIDATION}.UserAttributeSimilarityValidator"},
    {"NAME": f"{_VALIDATION}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_VALIDATION}.CommonPasswordValidator"},
    {"NAME": f"{_VALIDATION}.NumericPasswordValidator"},
]

# Open connections per client address and web process; trusted proxies are not counted.
MAX_CONNECTIONS_PER_ADDRESS = integer("MAX_CONNECTIONS_PER_ADDRESS", 1000)
# Open connections of the live feed per caller and web process.
MAX_LIVE_CONNECTIONS_PER_CALLER = integer("MAX_LIVE_CONNECTIONS_PER_CALLER", 20)

MAX_BODY_BYTES = 32 * 2**20
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
# The most fields in a query or a form. No form accepts a file.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 0
