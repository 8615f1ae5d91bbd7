"""What can be configured of volumes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VolumeSettings:
    """`[volumes]`"""

    default_type: str = "files"  #: the volume type of volumes that name none
    availability_zone: str = "nova"  #: the one availability zone
    default_backend: str = ""  #: where volumes of a type go that names no backend; default: the first of `[[backends]]`
    cache: str = "back"  #: what an acknowledged write survives: "back" needs a flush to be durable, "through" does not
    max_page: int = 1000  #: the longest page of any list
    no_compute: str = (
        "refuse"  #: "allow" or "refuse" that users delete attachments of servers if the catalog has no Compute
    )
    hydrations: int = 2  #: how many copies of remote images are filled at once behind the backs of their readers
    hydration_mib_per_s: int = 100  #: how fast each of them is filled, in MiB per second; 0: as fast as it goes
    fault_patience_s: int = 0  #: seconds that a reader waits for bytes of a remote image; 0: until they come
    absence_patience_s: int = 0  #: seconds that he waits while Moorage is stopped, before an error; 0: until it is back
    quota_volumes: int = 100  #: how many volumes a project may have; -1: any number
    quota_gigabytes: int = 10000  #: how many GiB the volumes of a project may have together; -1: any number
    quota_per_volume_gigabytes: int = -1  #: how many GiB one volume may have; -1: any number
    quota_snapshots: int = 100  #: how many snapshots a project may have; -1: any number
    quota_backups: int = 100  #: how many backups a project may have; -1: any number
    quota_backup_gigabytes: int = 10000  #: how many GiB the backups of a project may have together; -1: any number
    quota_groups: int = 10  #: how many groups a project may have; -1: any number

    def quota_defaults(self) -> dict[str, int]:
        """The limits of projects for which nobody has set any, by what the API calls them."""
        names = ("volumes", "per_volume_gigabytes", "snapshots", "gigabytes", "backups", "backup_gigabytes", "groups")
        return {name: getattr(self, f"quota_{name}") for name in names}
