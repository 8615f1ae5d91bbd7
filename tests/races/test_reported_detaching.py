"""Reported races and bugs of detaching, and of what is left behind, each under its Launchpad number."""

import time

from sqlalchemy import select, update

from moorage.operations.records import events
from moorage.volumes.records import attachments
from tests.races.scene import FIRST, ROUNDS, Scene, at_once, codes
from tests.volumes.rig import Reply

YEAR_US = 365 * 86400 * 1_000_000


def test_lp_1937084_a_client_deletes_the_volume_right_after_the_detach(scene: Scene) -> None:
    """As CSI does it: it deletes again and again while the detach is under way, and takes the first yes."""
    for _ in range(ROUNDS):
        id = scene.volume()
        claim = scene.attached(id, "h", FIRST)
        answers: list[int] = []

        def away(id: str = id, answers: list[int] = answers) -> Reply:
            until = time.monotonic() + 30
            while True:
                reply = scene.delete_volume(id)
                answers.append(reply.status)
                if reply.status != 400 or time.monotonic() > until:
                    return reply

        detached, deleted = at_once(lambda claim=claim: scene.delete(claim), away)  # type: ignore[misc]
        assert (detached.status, deleted.status) == (200, 202), (detached.body, answers)
        assert set(answers) <= {400, 202}
        assert scene.rig.settled(id) == "gone"
        assert scene.backend.survey() == {}


def test_lp_1916980_1935011_what_is_told_of_a_detach_is_what_is_so_after_it(scene: Scene) -> None:
    id = scene.shared()
    claims = [scene.attached(id, f"h{n}") for n in range(4)]
    replies = at_once(*(lambda claim=claim: scene.delete(claim) for claim in claims))  # type: ignore[misc]
    assert codes(replies) == [200] * 4
    with scene.rig.database.read() as tx:
        told = [(row["what"], row["resource_id"]) for row in tx.all(select(events).order_by(events.c.id))]
    left = [resource for what, resource in told if what == "attachment.released" and resource in claims]
    assert sorted(left) == sorted(claims)
    last = max(n for n, (what, _) in enumerate(told) if what == "attachment.released" and told[n][1] in claims)
    assert [what for what, resource in told[last + 1 :] if resource == id] == ["volume.status"]
    mentioned = [{one["id"] for one in reply.json["attachments"]} for reply in replies]
    for claim, rest in zip(claims, mentioned, strict=True):
        assert claim not in rest


def test_lp_1935057_an_export_that_does_not_go_at_first_is_removed_and_nothing_is_stuck(scene: Scene) -> None:
    id = scene.volume()
    claim = scene.attached(id, "h", FIRST)
    before = scene.backend.calls.count("withdraw")
    scene.backend.fail("withdraw", times=2)
    assert scene.delete(claim).status == 200
    assert (scene.state(claim), scene.status(id), scene.backend.survey()) == ("detached", "available", {})
    assert scene.backend.calls.count("withdraw") == before + 3


def test_lp_1786327_1825957_another_attachment_on_the_same_host_keeps_its_connection(scene: Scene) -> None:
    id = scene.shared()
    for _ in range(ROUNDS):
        stays, *leave = [scene.attached(id, "one-host") for _ in range(4)]
        before = scene.show(stays).json["attachment"]["connection_info"]
        assert codes(at_once(*(lambda a=a: scene.delete(a) for a in leave))) == [200] * 3  # type: ignore[misc]
        assert scene.backend.exports(id) == {stays}
        assert scene.show(stays).json["attachment"]["connection_info"] == before
        assert scene.delete(stays).status == 200
        assert scene.backend.survey() == {}


def test_lp_2004555_a_user_does_not_take_a_server_its_volume_whatever_is_going_on(scene: Scene) -> None:
    """CVE-2023-2088: only who reserved it for a server, by a service token, or an administrator."""
    for _ in range(ROUNDS):
        id = scene.volume()
        claim = scene.made(id, None, FIRST)
        updated, deleted = at_once(
            lambda claim=claim: scene.update(claim, "h", "nova"),  # type: ignore[misc]
            lambda claim=claim: scene.delete(claim, "demo"),  # type: ignore[misc]
        )
        if deleted.status == 409:
            assert updated.status == 200 and scene.backend.exports(id) == {claim}
            assert scene.delete(claim, "demo").status == 409
            assert scene.delete(claim, "nova").status == 200
        else:
            assert deleted.status == 200 and updated.status in (200, 404, 409)
        assert (scene.rows(id), scene.status(id), scene.backend.survey()) == ([], "available", {})


def test_lp_2088066_what_a_server_left_reserved_stays_is_explained_and_can_be_deleted(scene: Scene) -> None:
    """Nothing expires: a shelved server holds its volume for months. Whoever owns it can give it back."""
    id = scene.volume()
    claim = scene.made(id, None, FIRST)
    with scene.rig.database.write() as tx:
        year_ago = tx.now - YEAR_US
        tx.run(update(attachments).where(attachments.c.id == claim).values(created_at=year_ago, updated_at=year_ago))
    refused = scene.create(id)
    assert refused.status == 400 and claim in refused.message
    assert (scene.state(claim), scene.status(id)) == ("reserved", "reserved")
    assert scene.delete(claim, "demo").status == 200
    assert scene.status(id) == "available"
