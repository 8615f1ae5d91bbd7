"""A repeat with the same `Moorage-Key` finds what the first call has made; nothing is made twice."""

from tests.volumes.rig import Rig
from tests.volumes.test_together import at_once

VOLUME = {"volume": {"size": 1}}


def test_a_repeated_create_finds_the_volume(rig: Rig) -> None:
    replies = at_once(lambda n: rig.call("POST", "/volumes", VOLUME, moorage_key="k"))
    assert {reply.status for reply in replies} == {202}
    assert len({reply.json["volume"]["id"] for reply in replies}) == 1
    assert rig.call("POST", "/volumes", VOLUME, moorage_key="other").json != replies[0].json
    assert rig.call("GET", "/limits").json["limits"]["absolute"]["totalVolumesUsed"] == 2
    mine = rig.call("POST", "/volumes", VOLUME, "other", moorage_key="k")
    assert mine.status == 202 and mine.json["volume"]["id"] != replies[0].json["volume"]["id"]


def test_a_repeated_attachment_finds_its_export(rig: Rig) -> None:
    id = rig.volume()
    asked = {"attachment": {"volume_uuid": id, "connector": {"host": "h", "nbd": True}}}
    replies = [rig.call("POST", "/attachments", asked, moorage_key="k") for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 200] and replies[0].json == replies[1].json
    assert len(rig.backend.survey()[id].exports) == 1


def test_a_key_is_for_one_call(rig: Rig) -> None:
    assert rig.call("POST", "/volumes", VOLUME, moorage_key="k").status == 202
    asked = {"attachment": {"volume_uuid": rig.volume(), "connector": {"host": "h", "nbd": True}}}
    assert rig.call("POST", "/attachments", asked, moorage_key="k").status == 400
    assert [rig.call("POST", "/volumes", VOLUME, moorage_key=key).status for key in ("", "x" * 200)] == [400, 400]
