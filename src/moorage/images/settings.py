"""What can be configured of images."""

from dataclasses import dataclass

from moorage.images.access.protections import PropertyProtection
from moorage.images.image import CONTAINER_FORMATS, DISK_FORMATS, MORE_DISK_FORMATS


@dataclass(frozen=True)
class ImageSettings:
    """`[images]`: limits of images and of lists of them."""

    size_cap: int = 1 << 40  #: bytes that one image may have
    largest_disk: int = 1 << 46  #: bytes that the disk inside an image may have
    properties: int = 128  #: properties that one image may have
    tags: int = 128  #: tags that one image may have
    members: int = 128  #: projects that one image may be shared with
    locations: int = 10  #: locations that one image may have when a call adds one; -1: any number
    disk_formats: tuple[str, ...] = DISK_FORMATS  #: that images may have; gpt and luks are possible as well
    container_formats: tuple[str, ...] = CONTAINER_FORMATS  #: that images may have
    page: int = 25  #: images on a page of a list when the request does not say
    largest_page: int = 1000  #: images on a page at most
    hash_algorithm: str = "sha512"  #: of `os_hash_value`: a name that Python's hashlib knows, at most 512 bits
    quota_size_total: int = -1  #: MiB that the images of a project may have in all stores together; -1: any number
    quota_stage_total: int = -1  #: MiB of a project that may wait to be imported; -1: any number
    quota_count_total: int = -1  #: images that a project may have; -1: any number
    quota_count_uploading: int = -1  #: images of a project whose data may be coming in at once; -1: any number
    property_protections: tuple[PropertyProtection, ...] = ()  #: who may do what with which properties; none: no limits
    upload_idle_s: int = 300  #: seconds without a byte after which an upload is given up
    import_methods: tuple[str, ...] = ("glance-direct", "web-download", "copy-image")  #: ways to import that are open
    staging_path: str = (
        ""  #: directory that staged bytes are named in; default: the state directory. Several hosts share it
    )
    certificates: str = (
        ""  #: directory of the certificates that images are signed with; default: `certificates` in the state directory
    )
    copying_by_owners: bool = False  #: whether owners may copy their images to other stores, not only administrators
    hash_rate_mib: int = 200  #: MiB a second at which an image is read to be hashed in the background; 0: no limit
    do_secure_hash: bool = True  #: whether data that others have put somewhere are read and hashed by ourselves
    show_image_direct_url: bool = False  #: whether images show where their data are, as `direct_url`
    show_multiple_locations: bool = False  #: whether owners see and change all locations of their images: the old way

    def __post_init__(self) -> None:
        """Refuse formats that nobody here would know what to do with."""
        possible = {"disk_formats": (*DISK_FORMATS, *MORE_DISK_FORMATS), "container_formats": CONTAINER_FORMATS}
        for name, known in possible.items():
            if not set(getattr(self, name)) <= set(known) or not getattr(self, name):
                raise ValueError(f"{name} are some of {', '.join(known)}")

    def quota_defaults(self) -> dict[str, int]:
        """The limits of projects for which nobody has set any, by what `/v2/info/usage` calls them."""
        names = ("size_total", "stage_total", "count_total", "count_uploading")
        return {f"image_{name}": getattr(self, f"quota_{name}") for name in names}
