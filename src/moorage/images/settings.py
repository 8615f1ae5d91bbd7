"""What can be configured of images."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageSettings:
    """`[images]`: limits of images and of lists of them."""

    size_cap: int = 1 << 40  #: bytes that one image may have
    largest_disk: int = 1 << 46  #: bytes that the disk inside an image may have
    properties: int = 128  #: properties that one image may have
    tags: int = 128  #: tags that one image may have
    members: int = 128  #: projects that one image may be shared with
    page: int = 25  #: images on a page of a list when the request does not say
    largest_page: int = 1000  #: images on a page at most
    hash_algorithm: str = "sha512"  #: of `os_hash_value`: a name that Python's hashlib knows, at most 512 bits
    upload_idle_s: int = 300  #: seconds without a byte after which an upload is given up
    import_methods: tuple[str, ...] = ("glance-direct", "web-download", "copy-image")  #: ways to import that are open
    staging_path: str = (
        ""  #: directory that staged bytes are named in; default: the state directory. Several hosts share it
    )
    copying_by_owners: bool = False  #: whether owners may copy their images to other stores, not only administrators
    hash_rate_mib: int = 200  #: MiB a second at which an image is read to be hashed in the background; 0: no limit
