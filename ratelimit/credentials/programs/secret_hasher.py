"""How secrets are hashed that were drawn at random.

With 256 bits nobody guesses one, however fast guesses are looked at.
"""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class SecretHasher(PBKDF2PasswordHasher):
    """PBKDF2 in a millisecond.

    As slow as for passwords it would let any stranger keep the processors busy.
    """

    algorithm = "pbkdf2_sha256_of_random"
    iterations = 1_000
