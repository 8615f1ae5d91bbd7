"""What can be configured of Identity."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IdentitySettings:
    """`[identity]`"""

    token_ttl_s: float = 3600.0  #: seconds that a token is valid
