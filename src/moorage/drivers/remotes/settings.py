"""What can be configured of other clouds that images are imported from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteSettings:
    """One `[[remotes]]` table: a cloud whose images `glance-download` imports, asked in a name of its own."""

    name: str = ""  #: what clients call it (`glance_region`)
    auth_url: str = ""  #: its Identity
    region: str = ""  #: its region in its own catalog; default: the first one
    cacert: str = ""  #: file of certificates by which it is known; default: the system's
    username: str = ""  #: who asks there
    user_domain: str = "Default"  #: the domain of that user, by name
    project: str = ""  #: the project that the user asks in
    project_domain: str = "Default"  #: the domain of that project, by name
    application_credential_id: str = ""  #: who asks there, instead of a user and a project
    secret_file: str = ""  #: file that holds the password or the application credential's secret
    secret_env: str = ""  #: environment variable that holds it, where there is no file
