"""What can be configured of a store of kind s3."""

from dataclasses import dataclass


@dataclass(frozen=True)
class S3Settings:
    """`[stores.s3]`, for a store of kind s3: objects in one bucket of any service that speaks S3."""

    endpoint: str = ""  #: URL of the service; empty: Amazon's for the region
    region: str = "us-east-1"  #: as the service calls it; it is part of each signature
    bucket: str = ""  #: the bucket, which has to exist; its versioning should be off
    prefix: str = ""  #: what all keys begin with, such as `moorage/`, where others use the bucket too
    access_key: str = ""  #: the access key's id, unless a file or a variable has it
    access_key_file: str = ""  #: file that holds the access key's id
    access_key_env: str = ""  #: variable of the environment that holds the access key's id
    secret_key_file: str = ""  #: file that holds the secret key
    secret_key_env: str = ""  #: variable of the environment that holds the secret key
    addressing: str = "path"  #: "path" (any service) or "virtual" (the bucket is part of the host name)
    part_size: int = 8  #: MiB of one part of an upload, 5 at least; larger where an object would have too many parts
    parts_at_once: int = 2  #: parts of one upload that are sent at a time; memory is one part more than this
    connect_timeout_s: float = 5.0  #: seconds in which the service has to accept a connection
    timeout_s: float = 30.0  #: seconds that the service may be silent, and in which it has to take 8 MiB
    ca_file: str = ""  #: certificates that the service's is checked against; default: those of the system
