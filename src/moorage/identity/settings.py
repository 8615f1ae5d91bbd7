"""What can be configured of Identity."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IdentitySettings:
    """`[identity]`"""

    token_ttl_s: float = 3600.0  #: seconds that a token is valid
    expired_window_s: float = (
        172800.0  #: seconds after its end in which a service may still have a user's token validated
    )
    cached_tokens: int = 10000  #: validated tokens that one process remembers, until something in Identity changes
    logins_waiting: int = 64  #: log-ins that may wait for their password to be checked; more are told to come back
