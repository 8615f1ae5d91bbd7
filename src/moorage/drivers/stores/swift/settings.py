"""What can be configured of a store of kind swift."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SwiftSettings:
    """`[stores.swift]`, for a store of kind swift: objects in one container of a Swift service."""

    auth_url: str = ""  #: of Keystone, ending in /v3; or of the service's own log-in (tempauth), ending in /v1.0
    auth_version: str = "3"  #: "3" (Keystone) or "1" (tempauth, as Swift alone and Ceph answer it)
    user: str = ""  #: user name; with version 1 `account:user`
    key_file: str = ""  #: file that holds the password or key
    key_env: str = ""  #: variable of the environment that holds the password or key
    user_domain: str = "Default"  #: name of the user's domain
    project: str = ""  #: name of the project whose container it is
    project_domain: str = "Default"  #: name of the project's domain
    application_credential_id: str = ""  #: instead of user and project; its secret is the key
    region: str = ""  #: of the catalog; default: the first
    interface: str = "public"  #: of the catalog: public, internal or admin
    endpoint: str = ""  #: URL of the account, where it is not what the log-in answers
    container: str = "images"  #: the container; made where it is missing
    prefix: str = ""  #: what all object names begin with, such as `moorage/`
    segment_size: int = 32  #: MiB of one segment of a large object; larger where an object would have too many
    connect_timeout_s: float = 5.0  #: seconds in which the service has to accept a connection
    timeout_s: float = 30.0  #: seconds that the service may be silent, and in which it has to take a segment's piece
    ca_file: str = ""  #: certificates that the service's is checked against; default: those of the system
