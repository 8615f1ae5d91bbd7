"""Reported races and bugs of attaching, each under its Launchpad number."""

import pytest

from tests.races.scene import FIRST, ROUNDS, SECOND, Scene, at_once, codes


@pytest.mark.parametrize("number", [1833736, 1762687])
def test_lp_1833736_1762687_a_volume_for_one_is_not_attached_to_two_servers(scene: Scene, number: int) -> None:
    """The first is about two servers that reserve, the second about two that connect in the same call."""
    host = None if number == 1833736 else "h"
    for _ in range(ROUNDS):
        id = scene.volume()
        replies = at_once(
            lambda id=id: scene.create(id, host and "h1", FIRST),  # type: ignore[misc]
            lambda id=id: scene.create(id, host and "h2", SECOND),  # type: ignore[misc]
        )
        assert codes(replies) == [200, 400]
        assert len(scene.rows(id)) == 1
        assert len(scene.backend.exports(id)) == (1 if host else 0)


def test_lp_1694530_a_server_that_moves_has_its_volume_on_both_hosts(scene: Scene) -> None:
    id = scene.volume()
    source = scene.attached(id, "source", FIRST)
    target = scene.made(id, "target", FIRST)
    assert scene.create(id, "target", SECOND).status == 400
    twice = scene.create(id, "source", FIRST)
    assert (twice.status, len(scene.rows(id))) == (409, 2)
    assert scene.delete(source).status == 200
    assert scene.complete(target).status == 204
    assert scene.backend.exports(id) == {target}


def test_lp_1694530_a_server_that_moves_twice_at_once_is_not_twice_on_one_host(scene: Scene) -> None:
    for _ in range(ROUNDS):
        id = scene.volume()
        scene.attached(id, "source", FIRST)
        replies = at_once(*[lambda id=id: scene.create(id, "target", FIRST)] * 3)  # type: ignore[misc]
        assert codes(replies) == [200, 409, 409]
        assert len(scene.backend.exports(id)) == 2


def test_lp_1717564_a_volume_that_is_in_use_stays_so_while_its_server_moves(scene: Scene) -> None:
    id = scene.volume()
    scene.attached(id, "source", FIRST)
    target = scene.made(id, None, FIRST)
    assert (scene.state(target), scene.status(id)) == ("reserved", "in-use")
    scene.rig.call("DELETE", f"/attachments/{target}", as_="nova")
    with scene.during("publish", lambda: scene.create(id, "target", FIRST)):
        assert scene.status(id) == "in-use"
    assert scene.status(id) == "in-use"


@pytest.mark.parametrize("number", [1785050, 1805762])
def test_lp_1785050_1805762_a_volume_in_error_takes_no_attachment_and_gives_them_back(
    scene: Scene, number: int
) -> None:
    id = scene.volume()
    claim = scene.made(id, "h" if number == 1785050 else None, FIRST)
    assert scene.reset(id, "error").status == 202
    assert (scene.create(id, "h", FIRST).status, scene.update(claim, "h").status) == (400, 409)
    assert scene.delete(claim).status == 200
    assert scene.status(id) == "error"
    assert scene.reset(id, "available").status == 202
    assert (scene.status(id), scene.rows(id), scene.backend.survey()) == ("available", [], {})


def test_lp_1785050_1805762_error_and_attach_at_once_leave_nothing_half(scene: Scene) -> None:
    for _ in range(ROUNDS):
        id = scene.volume()
        reset, made = at_once(lambda id=id: scene.reset(id, "error"), lambda id=id: scene.create(id, "h"))  # type: ignore[misc]
        assert reset.status == 202 and made.status in (200, 400)
        assert scene.backend.exports(id) == {row["id"] for row in scene.rows(id)}
        assert len(scene.rows(id)) == (made.status == 200)


def test_lp_1710295_a_volume_is_in_use_once_its_holder_says_so(scene: Scene) -> None:
    id = scene.volume()
    claim = scene.made(id)
    assert scene.update(claim, "h").status == 200
    assert (scene.state(claim), scene.status(id)) == ("attaching", "attaching")
    assert scene.complete(claim).status == 204
    assert (scene.state(claim), scene.status(id)) == ("attached", "in-use")


def test_lp_1907295_an_update_in_a_wrong_state_is_a_conflict(scene: Scene) -> None:
    id = scene.volume()
    claim = scene.attached(id, "h", FIRST)
    with scene.during("withdraw", lambda: scene.delete(claim)):
        assert scene.update(claim, "other").status == 409
        assert scene.complete(claim).status == 409
    assert scene.update(claim, "other").status == 404
    other = scene.made(id)
    assert scene.reset(id, "error").status == 202
    assert scene.update(other, "h").status == 409


def test_lp_1983238_an_attachment_whose_connection_fails_is_not_left_behind(scene: Scene) -> None:
    id = scene.volume()
    scene.backend.fail("publish")
    assert scene.create(id, "h").status == 500
    assert (scene.rows(id), scene.status(id), scene.backend.survey()) == ([], "available", {})
    claim = scene.made(id)
    scene.backend.fail("publish")
    assert scene.update(claim, "h").status == 500
    assert scene.state(claim) == "reserved"
    assert scene.delete(claim).status == 200
    assert (scene.rows(id), scene.status(id), scene.backend.survey()) == ([], "available", {})


def test_csi_381_1645_a_volume_is_published_once_and_given_back_once(scene: Scene) -> None:
    """Two of its controllers publish and unpublish one volume at the same time, again and again."""
    id = scene.volume()
    for _ in range(ROUNDS):
        replies = at_once(lambda: scene.create(id, "n1", FIRST), lambda: scene.create(id, "n2", SECOND))
        assert codes(replies) == [200, 400]
        claim = next(reply.json["attachment"]["id"] for reply in replies if reply.status == 200)
        assert scene.status(id) == "attaching", "what is polled says what is so, not that somebody wanted it once"
        assert scene.complete(claim).status == 204
        gone = at_once(*[lambda claim=claim: scene.delete(claim)] * 2)  # type: ignore[misc]
        assert set(codes(gone)) <= {200, 404} and codes(gone)[0] == 200
        assert scene.delete(claim).status == 404
        assert (scene.status(id), scene.backend.survey()) == ("available", {})
