"""Every hostile image is refused and the refusal says why; every good one passes with the size of its disk."""

import json
import re
import shutil
import subprocess

import pytest

from moorage.images.content.formats import ContentRefused, Inspected, Inspection
from tests.hostile.make import DISK, GOOD, HOSTILE

#: refused for what they are, not only for what they were declared
DANGEROUS = [hostile for hostile in HOSTILE if "declared" not in hostile.says and hostile.name != "iso-hybrid-as-raw"]
STEPS = (4 << 20, 65_536, 4_099)


def inspect(data: bytes, declared: str, step: int = STEPS[0], container: str = "bare") -> Inspected:
    inspection = Inspection(declared, container)
    for start in range(0, len(data), step):
        inspection.feed(data[start : start + step])
    return inspection.finish()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_image_is_refused_and_told_why(hostile, step):
    with pytest.raises(ContentRefused) as caught:
        inspect(hostile.data, hostile.declared, step)
    assert re.search(hostile.says, caught.value.sentence)
    assert (caught.value.status, caught.value.code) == (415, "image.content-refused")
    assert f"declared {hostile.declared}" in caught.value.sentence
    assert "shadow" not in caught.value.sentence


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.name)
def test_a_good_image_passes_with_the_size_of_its_disk(good, tmp_path):
    if not shutil.which("qemu-img"):
        pytest.skip("qemu-img, which makes the good images, is not installed")
    path = tmp_path / "image"
    good.build(path)
    data = path.read_bytes()
    for step in STEPS:
        seen = inspect(data, good.declared, step)
        assert (seen.format, seen.virtual_size) == (good.recorded, len(DISK))


@pytest.mark.parametrize("hostile", DANGEROUS, ids=lambda hostile: hostile.name)
@pytest.mark.parametrize(
    "declared", ["raw", "gpt", "iso", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "luks", "ami", "what"]
)
def test_no_declaration_makes_it_acceptable(hostile, declared):
    with pytest.raises(ContentRefused):
        inspect(hostile.data, declared)


@pytest.mark.parametrize(("declared", "kind"), [("vhd", "vpc"), ("vmdk", "vmdk"), ("qcow2", "qcow2")])
def test_a_size_that_the_format_rounds_is_the_one_that_qemu_sees(declared, kind, tmp_path):
    if not shutil.which("qemu-img"):
        pytest.skip("qemu-img is not installed")
    path = tmp_path / "image"
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(path), "12345678912"], check=True)
    told = subprocess.run(["qemu-img", "info", "-f", kind, "--output=json", str(path)], check=True, capture_output=True)
    assert inspect(path.read_bytes(), declared).virtual_size == json.loads(told.stdout)["virtual-size"]


def test_the_corpus_can_be_built(tmp_path):
    if not shutil.which("qemu-img"):
        pytest.skip("qemu-img is not installed")
    from tests.hostile.make import main

    main(tmp_path / "corpus")
    assert len(list((tmp_path / "corpus").iterdir())) == len(HOSTILE) + len(GOOD)
