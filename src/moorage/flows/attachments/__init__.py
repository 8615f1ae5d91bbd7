"""What is done with attachments: doors are opened and closed, queues move up, leases lapse."""
