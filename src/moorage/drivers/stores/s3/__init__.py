"""A store of objects in one bucket of any service that speaks S3."""
