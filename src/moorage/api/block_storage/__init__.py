"""Block Storage v3: volumes, types, quotas and attachments on the wire."""
