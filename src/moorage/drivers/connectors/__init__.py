"""How a host gets a block device for an attachment."""
