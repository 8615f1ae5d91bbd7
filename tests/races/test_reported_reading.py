"""Reported bugs of what is shown to whom, and of what is counted, each under its Launchpad number."""

from pathlib import Path

import moorage
from tests.races.scene import FIRST, ROUNDS, Scene, at_once, codes
from tests.volumes.rig import Reply


def test_lp_1713521_attachments_are_listed_in_every_state(scene: Scene) -> None:
    id = scene.shared()
    reserved, attached = scene.made(id), scene.attached(id, "h1")

    def listed() -> dict[str, str]:
        found = scene.rig.call("GET", f"/attachments/detail?volume_id={id}").json["attachments"]
        return {one["id"]: one["status"] for one in found}

    with scene.during("publish", lambda: scene.create(id, "h2")):
        (attaching,) = set(listed()) - {reserved, attached}
        assert listed() == {reserved: "reserved", attached: "attached", attaching: "attaching"}
    with scene.during("withdraw", lambda: scene.delete(attached)):
        assert listed()[attached] == "detaching"
    assert set(listed()) == {reserved, attaching}


def test_lp_1812913_what_is_read_is_plain_data() -> None:
    """Nothing is loaded later from a session that has ended: there is no object mapper to do it."""
    sources = Path(moorage.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if "sqlalchemy.orm" in path.read_text()] == []


def test_lp_2138566_another_projects_attachment_is_not_there(scene: Scene) -> None:
    id = scene.volume()
    claim = scene.attached(id, "h", FIRST)
    replies = [scene.show(claim, "other"), scene.update(claim, "h2", "other"), scene.complete(claim, "other")]
    replies.append(scene.delete(claim, "other"))
    assert [reply.status for reply in replies] == [404] * 4
    listed = scene.rig.call("GET", f"/attachments?volume_id={id}", as_="other")
    assert listed.json["attachments"] == []
    refused = scene.create(id, as_="other")
    assert refused.status == 404 and claim not in refused.message
    assert scene.state(claim) == "attached"


def test_lp_2163042_no_count_is_lost_among_many(scene: Scene) -> None:
    """The counter of that report does not exist here; the one that does is the quota's."""

    def one(n: int) -> Reply:
        made = scene.rig.call("POST", "/volumes", {"volume": {"size": 1 + n}})
        id = made.json["volume"]["id"]
        assert scene.rig.settled(id) == "available"
        if n % 2:
            assert scene.extend(id, 10).status == 202
            assert scene.rig.settled(id) == "available"
        return scene.delete_volume(id) if n % 3 == 0 else made

    for _ in range(ROUNDS // 2):
        assert codes(at_once(*(lambda n=n: one(n) for n in range(6)))) == [202] * 6  # type: ignore[misc]
    for row in scene.rig.call("GET", "/volumes").json["volumes"]:
        scene.rig.settled(row["id"])
    usage, counted = scene.quota()
    assert usage == counted
    assert usage["volumes"] >= 4
