"""
Images by which some cloud was made to hand out what was not its user's: refused on every way in, with nothing left.

`tests/hostile` holds about a hundred against every declaration; here are those of the known reports and their kin, each
through the whole service.
"""

import hashlib
import time
from collections.abc import Callable, Iterator

import pytest

from moorage.images.image import DISK_FORMATS
from tests.conftest import state_directory
from tests.drivers.fetch.web import answer
from tests.hostile.make import HOSTILE, Hostile
from tests.safety.ways import Scene, scene

IMAGES = {hostile.name: hostile for hostile in HOSTILE}

# fmt: off
REPORTS = {
    # report                                    images by which it is shown
    "CVE-2015-5163 backing file":              ("qcow2-backing", "qcow2-backing-v2", "qcow2-backing-as-raw"),
    "CVE-2022-47951 flat vmdk":                ("vmdk-flat", "vmdk-flat-text", "vmdk-extent-path", "vmdk-two-types"),
    "CVE-2024-32498 external data file":       ("qcow2-data-file", "qcow2-data-name"),
    "CVE-2024-40767 another format than said": ("vmdk-flat-text-raw", "qcow2-as-ami", "raw-as-qcow2", "qed"),
    "CVE-2026-24708 a header on a raw disk":   ("qcow2-as-raw", "qcow2-cut-as-raw"),
    "json: as a name":                         ("vmdk-extent-json",),
    "a parent":                                ("vmdk-parent", "vdi-parent", "vhd-parent", "vhdx-parent"),
    "encrypted":                               ("qcow2-luks", "luks-2"),
    "several things at once":                  ("iso-and-qcow2", "iso-and-vmdk", "qcow2-and-mbr"),
    "unknown features":                        ("qcow2-feature-63", "qcow2-extended-l2"),
    "huge tables":                             ("qcow2-l1-huge", "qcow2-refcounts", "vmdk-huge", "vhd-table"),
    "cut short":                               ("qcow2-cut-tables", "vmdk-cut-off", "vdi-cut-off"),
    "partition tables":                        ("gpt-extra-partition", "gpt-late-start"),
}
# fmt: on
NAMES = [name for names in REPORTS.values() for name in names]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Scene]:
    wishes = {"raw": {"convert": "raw"}, "unpacking": {"decompress": True}, "web": {"kind": "http"}}
    with state_directory() as state, scene(state, **wishes) as found:
        yield found


def by_conversion(cloud: Scene, id: str, data: bytes) -> tuple[int, str]:
    return cloud.by_stage(id, data, "raw")


def by_archive(cloud: Scene, id: str, data: bytes) -> tuple[int, str]:
    import gzip

    return cloud.by_web(id, gzip.compress(data), "unpacking")


def declarable(hostile: Hostile) -> str:
    """The format that it is declared to have; raw, where the API knows no such format."""
    return hostile.declared if hostile.declared in DISK_FORMATS else "raw"


WAYS: dict[str, Callable[[Scene, str, bytes], tuple[int, str]]] = {
    "upload": Scene.by_upload,
    "stage and import": Scene.by_stage,
    "web-download": Scene.by_web,
    "conversion": by_conversion,
    "archive": by_archive,
}


@pytest.mark.parametrize("name", NAMES)
def test_no_way_lets_it_in(cloud: Scene, name: str) -> None:
    hostile = IMAGES[name]
    for way, bring in WAYS.items():
        id = cloud.create(declarable(hostile))
        status, reason = bring(cloud, id, hostile.data)
        assert status == (415 if way == "upload" else 202) or (way == "stage and import" and status == 415), (
            way,
            reason,
        )
        assert "declared" in reason and "shadow" not in reason, (way, reason)
        shown = cloud.show(id)
        assert (shown["status"], shown["checksum"], shown["size"]) == ("queued", None, None), way
        assert cloud.cloud.call("GET", f"/image/v2/images/{id}/file").status == 204
        cloud.empty()
        assert cloud.cloud.call("DELETE", f"/image/v2/images/{id}").status == 204


def put_somewhere(cloud: Scene, name: str, **said: str) -> tuple[str, int]:
    """An image that is told to lie at a URL, and what the answer was."""
    hostile = IMAGES[name]
    cloud.site.pages[f"/{name}"] = answer(200, hostile.data)
    id = cloud.create(declarable(hostile))
    asked = {"url": cloud.site.url(f"/{name}"), "validation_data": said}
    return id, cloud.cloud.call("POST", f"/image/v2/images/{id}/locations", asked).status


@pytest.mark.parametrize("name", [names[0] for names in REPORTS.values()])
def test_a_location_that_leads_to_it_is_not_used(cloud: Scene, name: str) -> None:
    value = hashlib.sha512(IMAGES[name].data).hexdigest()
    id, status = put_somewhere(cloud, name, os_hash_algo="sha512", os_hash_value=value)
    assert status == 202
    after = cloud.finished(id)
    assert (after["status"], after["checksum"]) == ("queued", None), after
    asked = {"volume": {"size": 1, "imageRef": id}}
    assert cloud.cloud.call("POST", "/volume/v3/volumes", asked).status == 400


@pytest.mark.parametrize("name", ["qcow2-backing", "vmdk-flat", "qcow2-as-raw"])
def test_a_location_of_which_nothing_is_said_is_looked_at_before_it_is_used(cloud: Scene, name: str) -> None:
    id, status = put_somewhere(cloud, name)
    assert status == 202
    asked = {"volume": {"size": 1, "imageRef": id}}
    made = cloud.cloud.call("POST", "/volume/v3/volumes", asked)
    until = time.monotonic() + 60
    while cloud.show(id)["status"] == "active":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert cloud.show(id)["status"] == "deactivated"
    assert cloud.cloud.call("POST", "/volume/v3/volumes", asked).status == 400
    if made.status == 202:  # it waits for the look, and is over then
        volume = f"/volume/v3/volumes/{made.json['volume']['id']}"
        while (shown := cloud.cloud.call("GET", volume).json["volume"])["status"] in ("creating", "downloading"):
            assert time.monotonic() < until, shown
            time.sleep(0.05)
        assert shown["status"] == "error"


def test_the_reports_are_in_the_corpus() -> None:
    assert set(NAMES) <= IMAGES.keys()
