"""A volume becomes an image in a store of volumes: by a copy, into a volume of the store's own."""

from pathlib import Path

from moorage.config import StoreSettings
from moorage.images.settings import ImageSettings
from tests.cloud import running
from tests.flows.uploads import Uploads

DATA = b"in a volume" * 1000


def test_a_volume_is_copied_into_a_volume_of_the_store(state_dir: Path) -> None:
    stores = (StoreSettings(default=True), StoreSettings(id="vols", kind="volume"))
    with running(state_dir, stores=stores, images=ImageSettings(hash_rate_mib=0)) as cloud:
        uploads = Uploads(cloud)
        volume = uploads.volume()
        uploads.write(volume, DATA, 300 << 20)
        image = uploads.upload(volume, disk_format="qcow2", headers={"Moorage-Store": "vols"})["image_id"]
        uploads.until(lambda: uploads.image(image)["status"] != "saving", 90)
        shown = uploads.image(image)
        assert (shown["status"], shown["stores"], shown["checksum"] is not None) == ("active", "vols", True)
        uploads.until(lambda: uploads.status(volume) == "available")
        uploads.delete_volume(volume)
        made = uploads.volume(imageRef=image)
        held = uploads.attach(made, "ro")
        with uploads.client(held) as nbd:
            assert nbd.pread(len(DATA), 300 << 20) == DATA
        uploads.detach(held)
        uploads.until(lambda: uploads.status(made) == "available")
        uploads.delete_volume(made)
        uploads.delete_image(image)
        uploads.until(lambda: uploads.rows()["locations"] == 0, 60)
