"""What can be configured of volumes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VolumeSettings:
    """`[volumes]`"""

    default_type: str = "files"        #: the volume type of volumes that name none
    availability_zone: str = "nova"    #: the one availability zone
