"""Key managers, as far as they keep the certificates that images are signed with."""
