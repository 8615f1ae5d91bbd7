"""What can be configured of a store that keeps images in volumes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VolumeStoreSettings:
    """`[stores.volume]`: the volumes that images are kept in. Without `auth_url` they are of our own Block Storage."""

    volume_type: str = ""  #: type of the volumes; default: ours: multiattach, elsewhere: that service's default type
    idle_s: int = 15  #: seconds that the attachment of an image that nobody reads is kept
    patience_s: int = 300  #: seconds that another Block Storage may take to make, extend or delete a volume
    attach_tries: int = (
        5  #: how often another Block Storage is asked for an attachment that it refuses because of others
    )
    auth_url: str = ""  #: Identity of the cloud whose Block Storage is used
    region: str = ""  #: its region; default: the first one
    interface: str = "public"  #: which of its endpoints is asked
    cacert: str = ""  #: file of certificates by which it is known
    username: str = ""  #: who asks there
    user_domain: str = "Default"  #: the domain of that user, by name
    project: str = ""  #: the project that the volumes belong to
    project_domain: str = "Default"  #: the domain of that project, by name
    application_credential_id: str = ""  #: who asks there, instead of a user and a project
    secret_file: str = ""  #: file that holds the password or the application credential's secret
    secret_env: str = ""  #: environment variable that holds it, where there is no file
    ceph_conf: str = "/etc/ceph/ceph.conf"  #: how volumes in Ceph are reached; it names the keyring
