"""The table of what may be declared as what; and any bytes whatever are accepted or refused, never anything else."""

import logging
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.images.content.formats import READINGS, ContentRefused, Inspected, Inspection
from moorage.images.content.headers import CHECKS
from moorage.images.content.seen import Seen, Unsound
from tests.hostile import make

SAMPLES = {
    "raw": bytes(make.MIB),
    "gpt": make.mbr(make.PROTECTIVE),
    "iso": make.iso(),
    "qcow2": make.qcow2(),
    "vmdk": make.vmdk(),
    "vdi": make.vdi(),
    "vhd": make.vhd(),
    "vhdx": make.vhdx(make.vhdx_metadata(make.SIZE_ITEM)),
    "luks": make.luks(),
    "gpt iso": make.iso(boot=make.mbr(make.PROTECTIVE)[:512]),
}
DECLARABLE = sorted({declared for declared, _, _ in READINGS} | {"qed", "vpc", "what"})
ANY_DECLARED = st.sampled_from(DECLARABLE)


def look(data, declared, container="bare", step=None, **limits):
    inspection = Inspection(declared, container, **limits)
    for start in range(0, len(data), step or max(1, len(data))):
        inspection.feed(data[start : start + (step or len(data))])
    return inspection.finish()


@pytest.mark.parametrize("content", SAMPLES)
@pytest.mark.parametrize("declared", DECLARABLE)
def test_a_pair_is_accepted_exactly_when_the_table_lists_it(declared, content):
    recorded = [row[2] for row in READINGS if row[0] == declared and row[1] == set(content.split())]
    if recorded:
        assert look(SAMPLES[content], declared).format == recorded[0]
    else:
        with pytest.raises(ContentRefused) as caught:
            look(SAMPLES[content], declared)
        assert caught.value.facts["detected"] == " and ".join(sorted(content.split()))


@pytest.mark.parametrize(
    ("content", "size"),
    [
        ("qcow2", make.MIB),
        ("vmdk", 2048 * 512),
        ("vdi", make.MIB),
        ("vhd", make.MIB),
        ("vhdx", 1 << 30),
        ("iso", 64 * 2048),
    ],
)
def test_the_size_is_the_one_in_the_header(content, size):
    assert look(SAMPLES[content], content).virtual_size == size


def test_what_nobody_can_read_has_no_size():
    assert look(SAMPLES["raw"], "ploop") == Inspected("ploop", None)


def test_read_as_raw_every_byte_counts():
    assert look(SAMPLES["iso"] + bytes(4096), "raw") == Inspected("raw", 66 * 2048)


def test_an_iso_without_a_primary_descriptor_counts_its_bytes():
    data = bytearray(SAMPLES["iso"])
    data[0x8000] = 0
    assert look(bytes(data), "iso").virtual_size == len(data)


def test_a_disk_larger_than_allowed_is_refused():
    assert look(make.qcow2(size=1 << 29), "qcow2", largest_disk_bytes=1 << 29).virtual_size == 1 << 29
    with pytest.raises(ContentRefused, match="larger than 536870911"):
        look(make.qcow2(size=1 << 29), "qcow2", largest_disk_bytes=(1 << 29) - 1)


@pytest.mark.parametrize("container", ["ovf", "ova", "docker", "ami", "compressed"])
def test_only_bare_content_is_looked_into(container):
    assert look(make.qcow2(backing=112), "qcow2", container) == Inspected("qcow2", None)


def test_vhdx_metadata_are_found_wherever_they_lie_and_however_they_come():
    data = bytearray(make.vhdx(region_bytes=make.MIB) + bytes(30 * make.MIB))
    struct.pack_into("<Q", data, (192 << 10) + 32, 20 * make.MIB)
    table = make.vhdx_metadata(make.SIZE_ITEM)
    data[20 * make.MIB : 20 * make.MIB + len(table)] = table
    for step in (None, 1 << 20, 65_537):
        assert look(bytes(data), "vhdx", step=step).virtual_size == 1 << 30


def test_the_bytes_of_an_image_reach_no_log(caplog):
    with caplog.at_level(logging.DEBUG):
        for hostile in make.HOSTILE:
            with pytest.raises(ContentRefused):
                look(hostile.data, hostile.declared)
    assert caplog.text == ""


@given(st.binary(max_size=4096), ANY_DECLARED)
@settings(deadline=None, max_examples=150)
def test_any_bytes_are_accepted_or_refused(data, declared):
    accepted_or_refused(data, declared)


@st.composite
def spoilt(draw):
    """A proper image with a few bytes changed near where the fields are, perhaps cut off."""
    data = bytearray(draw(st.sampled_from([*SAMPLES.values(), make.stream_vmdk(), make.vmdk(make.FLAT)])))
    starts = [
        start for start in (0, 64, 0x150, 512, 512 + 16, 0x8000, 64 << 10, 192 << 10, make.MIB) if start < len(data)
    ]
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.sampled_from(starts)) + draw(st.integers(0, 600))
        value = draw(st.one_of(st.binary(min_size=1, max_size=8), st.just(b"\xff" * 8), st.just(bytes(8))))
        data[at : at + len(value)] = value
    return bytes(data[: draw(st.one_of(st.none(), st.integers(0, len(data))))])


@given(spoilt(), ANY_DECLARED, st.sampled_from([None, 4_099, 65_536]))
@settings(deadline=None, max_examples=300)
def test_spoilt_images_are_accepted_or_refused(data, declared, step):
    accepted_or_refused(data, declared, step)


@given(spoilt(), st.sampled_from(sorted(SAMPLES)))
@settings(deadline=None, max_examples=100)
def test_the_cuts_do_not_change_the_answer(data, declared):
    answers = set()
    for step in (None, 4_099, 65_536):
        try:
            answers.add(look(data, declared, step=step))
        except ContentRefused as refusal:
            answers.add(refusal.sentence)
    assert len(answers) == 1


@given(st.binary(max_size=600), st.sampled_from(sorted(CHECKS)), st.one_of(st.none(), st.integers(0, 1 << 64)))
@settings(deadline=None, max_examples=300)
def test_a_check_of_any_bytes_gives_a_size_or_a_reason(head, name, size):
    try:
        assert isinstance(CHECKS[name](Seen(head, head[-1536:], size)), int)
    except Unsound as unsound:
        assert str(unsound)


def accepted_or_refused(data, declared, step=None):
    try:
        seen = look(data, declared, step=step)
    except ContentRefused as refusal:
        assert refusal.status == 415
        return
    if seen.format == "ploop":
        assert seen.virtual_size is None
        return
    assert seen.format in {"raw", "iso", "luks", "qcow2", "vmdk", "vdi", "vhd", "vhdx"}
    assert 0 <= seen.virtual_size < 1 << 63
