"""Many callers at the same moment: what one of them may have, one of them gets; siblings do not disturb each other."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from moorage.volumes import quota
from tests.volumes.rig import DEMO, Reply, Rig

MANY = 8


def at_once(work: Callable[[int], Reply], count: int = MANY) -> list[Reply]:
    """What `count` callers are answered who all begin at the same moment."""
    barrier = threading.Barrier(count)

    def one(number: int) -> Reply:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_the_last_unit_of_quota_goes_to_one(rig: Rig) -> None:
    limit = {"quota_set": {"volumes": 1}}
    assert rig.call("PUT", f"/os-quota-sets/{DEMO}", limit, "admin").status == 200
    replies = at_once(lambda n: rig.call("POST", "/volumes", {"volume": {"size": 1}}))
    assert sorted(reply.status for reply in replies) == [202] + [413] * (MANY - 1)
    with rig.database.read() as tx:
        assert quota.usage(tx, DEMO) == quota.recount(tx, DEMO)


def test_one_of_many_gets_a_volume_for_one(rig: Rig) -> None:
    id = rig.volume()
    replies = at_once(lambda n: rig.call("POST", "/attachments", {"attachment": {"volume_uuid": id}}))
    assert sorted(reply.status for reply in replies) == [200] + [400] * (MANY - 1)
    (winner,) = [reply.json["attachment"]["id"] for reply in replies if reply.status == 200]
    text = f"Volume {id} status must be available or downloading to reserve, but the current status is reserved."
    told = {reply.message for reply in replies if reply.status == 400}
    assert told == {f"Invalid volume: {text} In the way: attachment {winner}."}


def test_all_of_many_get_a_volume_for_several(rig: Rig) -> None:
    id = rig.volume(volume_type="multiattach")

    def one(n: int) -> Reply:
        asked = {"volume_uuid": id, "connector": {"host": f"h{n}", "nbd": True}}
        made = rig.call("POST", "/attachments", {"attachment": asked})
        assert made.status == 200, made.body
        at = f"/attachments/{made.json['attachment']['id']}"
        assert rig.call("POST", f"{at}/action", {"os-complete": None}).status == 204
        return rig.call("DELETE", at)

    replies = at_once(one, 16)
    assert [reply.status for reply in replies] == [200] * 16
    assert rig.settled(id) == "available"
    assert rig.backend.survey() == {}


def test_the_last_two_leave_together_and_the_volume_is_free(rig: Rig) -> None:
    id = rig.volume(volume_type="multiattach")
    claims = [rig.attach(id, host=f"h{n}")["id"] for n in range(2)]
    replies = at_once(lambda n: rig.call("DELETE", f"/attachments/{claims[n]}"), 2)
    assert [reply.status for reply in replies] == [200, 200]
    assert rig.status(id) == "available"
    assert rig.call("DELETE", f"/volumes/{id}").status == 202
    assert rig.settled(id) == "gone"


def test_deleting_one_attachment_many_times_is_deleting_it_once(rig: Rig) -> None:
    id = rig.volume()
    claim = rig.attach(id, host="h")["id"]
    replies = at_once(lambda n: rig.call("DELETE", f"/attachments/{claim}"))
    assert {reply.status for reply in replies} <= {200, 404}
    assert any(reply.status == 200 for reply in replies)
    assert rig.status(id) == "available"


def test_a_delete_and_a_reserve_do_not_both_win(rig: Rig) -> None:
    for _ in range(4):
        id = rig.volume()
        calls: list[Callable[[], Reply]] = [
            lambda id=id: rig.call("DELETE", f"/volumes/{id}"),  # type: ignore[misc]
            lambda id=id: rig.call("POST", "/attachments", {"attachment": {"volume_uuid": id}}),  # type: ignore[misc]
        ]
        deleted, reserved = at_once(lambda n, calls=calls: calls[n](), 2)  # type: ignore[misc]
        assert (deleted.status == 202) != (reserved.status == 200), (deleted.body, reserved.body)


def test_copies_of_one_volume_share_what_it_had(rig: Rig) -> None:
    """Each copy freezes the source once more; what is shared goes with its last user, in whatever order they go."""
    source = rig.volume()
    made = at_once(lambda n: rig.call("POST", "/volumes", {"volume": {"source_volid": source}}), 4)
    copies = [reply.json["volume"]["id"] for reply in made]
    assert [rig.settled(copy) for copy in copies] == ["available"] * 4
    everyone: list[Any] = [copies[0], source, *copies[1:]]
    gone = at_once(lambda n: rig.call("DELETE", f"/volumes/{everyone[n]}"), 5)
    assert [reply.status for reply in gone] == [202] * 5
    assert [rig.settled(id) for id in everyone] == ["gone"] * 5
    assert rig.backend.layers() == frozenset()
    with rig.database.read() as tx:
        assert quota.usage(tx, DEMO) == quota.recount(tx, DEMO) == {}
