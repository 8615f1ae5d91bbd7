"""Leases: who does not renew is fenced and released; who is not heard because nobody listens is not."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import update

from moorage.core.caller import NOBODY
from moorage.core.errors import Malformed
from moorage.flows.attachments import lapse_leases
from moorage.flows.why import why
from moorage.hosts import agents
from moorage.hosts.agents import Beat, HostServed, NotTheHost
from moorage.hosts.records import hearing, hosts, leases
from moorage.volumes.attachments.attachment import State
from tests.flows.lease_world import CONNECTOR, SLACK_S, TERM_S, Leases
from tests.volumes.rig import running

HOST = CONNECTOR["host"]


@pytest.fixture
def world(database_url: str, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Leases]:
    with running(database_url, state_dir) as rig:
        yield Leases(rig, monkeypatch)


def status(world: Leases, id: str) -> str:
    return str(world.rig.call("GET", f"/attachments/{id}").json.get("attachment", {}).get("status", "gone"))


def beat(world: Leases, *ids: str, host: str = str(HOST)) -> list[str]:
    """A heartbeat that names these attachments; those whose leases it has renewed."""
    device = {"path": "/dev/loop0", "read_only": False, "alive": True, "mounted": None}
    said = Beat("boot", "1", "/run/agent", [], dict.fromkeys(ids, device))
    return [row["id"] for row in world.rig.database.transact(lambda tx: agents.beat(tx, host, said))]


def register(world: Leases, host: str = str(HOST)) -> str:
    return world.rig.database.transact(lambda tx: agents.register(tx, host))


def test_what_nobody_renews_is_fenced_and_released_and_the_next_attach_succeeds(world: Leases) -> None:
    volume = world.rig.volume()
    id = world.attach(volume)
    world.passes(TERM_S - SLACK_S)
    assert world.listen() == [] and status(world, id) == "attached"
    world.passes(SLACK_S)
    assert len(world.listen()) == 1
    assert (status(world, id), world.rig.status(volume)) == ("gone", "available")
    assert world.rig.backend.survey() == {}
    told = [("attachment.lapsed", "lease"), ("attachment.detaching", None), ("attachment.released", "lease")]
    assert world.events(id)[-3:] == told
    assert world.row(id) is None
    world.attach(volume)


def test_what_has_no_lease_never_expires(world: Leases) -> None:
    volume = world.rig.volume()
    id = world.attach(volume, term_s=None)
    world.passes(10**6)
    assert world.listen() == [] and status(world, id) == "attached"


def test_a_sibling_of_what_lapses_sees_nothing(world: Leases) -> None:
    reply = world.rig.call(
        "POST", "/types", {"volume_type": {"name": "s", "extra_specs": {"multiattach": "<is> True"}}}, "admin"
    )
    volume = world.rig.volume(volume_type=reply.json["volume_type"]["id"])
    stays, leased, lapses = world.attach(volume, None), world.attach(volume, 10 * TERM_S), world.attach(volume)
    world.passes(TERM_S)
    world.listen()
    assert [status(world, id) for id in (stays, leased, lapses)] == ["attached", "attached", "gone"]
    assert world.rig.backend.survey()[volume].exports == {stays, leased}


@pytest.mark.parametrize("how", ["update", "complete"])
def test_a_call_with_the_header_renews(world: Leases, how: str) -> None:
    id = world.attach(world.rig.volume())
    world.passes(TERM_S - SLACK_S)
    path, body = f"/attachments/{id}", {"attachment": {"connector": CONNECTOR}}
    method, path, sent = ("PUT", path, body) if how == "update" else ("POST", f"{path}/action", {"os-complete": None})
    plain = world.rig.call(method, path, sent)
    assert plain.status < 300 and world.left_s(id) <= SLACK_S
    assert world.rig.call(method, path, sent, moorage_lease=str(2 * TERM_S)).status < 300
    assert world.left_s(id) > 2 * TERM_S - SLACK_S


def test_a_lease_can_be_given_up_and_ends_with_its_generation(world: Leases) -> None:
    first, second = world.attach(world.rig.volume()), world.attach(world.rig.volume())
    at = f"/attachments/{first}"
    assert world.rig.call("PUT", at, {"attachment": {"connector": CONNECTOR}}, moorage_lease="0").status == 200
    body = {"attachment": {"connector": {**CONNECTOR, "host": "compute2"}}}
    assert world.rig.call("PUT", f"/attachments/{second}", body).status == 200
    assert (world.row(first), world.row(second)) == (None, None)
    world.passes(10**6)
    assert world.listen() == []


def test_a_claim_without_a_connector_may_have_a_lease(world: Leases) -> None:
    volume = world.rig.volume()
    reply = world.rig.call("POST", "/attachments", {"attachment": {"volume_uuid": volume}}, moorage_lease="5")
    id = reply.json["attachment"]["id"]
    world.passes(5)
    assert world.listen() == []  # it had no door: released at once, without an operation
    assert (status(world, id), world.rig.status(volume)) == ("gone", "available")


@pytest.mark.parametrize("text", ["2", "86401", "-5", "x", "3.5", "", "9" * 30])
def test_a_term_that_makes_no_sense_is_refused_and_nothing_is_left(world: Leases, text: str) -> None:
    volume = world.rig.volume()
    asked = {"attachment": {"volume_uuid": volume}}
    assert world.rig.call("POST", "/attachments", asked, moorage_lease=text).status == 400
    assert world.rig.status(volume) == "available"


def test_a_heartbeat_renews_what_it_names_of_its_own_host(world: Leases) -> None:
    register(world)
    register(world, "compute2")
    held, not_named, another = (world.attach(world.rig.volume(), host=h) for h in (HOST, HOST, "compute2"))
    world.passes(TERM_S - SLACK_S)
    assert beat(world, held, another) == [held]
    assert world.left_s(held) > TERM_S - SLACK_S
    world.passes(SLACK_S)
    assert len(world.listen()) == 2
    assert [status(world, id) for id in (held, not_named, another)] == ["attached", "gone", "gone"]


def test_only_its_secret_proves_a_host_and_only_its_digest_is_kept(world: Leases) -> None:
    old, secret = register(world), register(world)
    with world.rig.database.write() as tx:
        agents.prove(tx, str(HOST), {agents.HEADER: secret})
        for id, given in ((HOST, old), (HOST, ""), (HOST, agents.digest(secret)), ("nobody", secret), ("nobody", "")):
            with pytest.raises(NotTheHost):
                agents.prove(tx, str(id), {agents.HEADER: given})
        assert secret not in str(tx.all(hosts.select()))
        agents.unregister(tx, str(HOST))
        for given in (secret, ""):
            with pytest.raises(NotTheHost):
                agents.prove(tx, str(HOST), {agents.HEADER: given})
        for name in ("", "a b", "-x", "x" * 65, "a/b"):
            with pytest.raises(Malformed):
                agents.register(tx, name)
        tx.run(update(hosts).where(hosts.c.id == HOST).values(process="p"))
        with pytest.raises(HostServed):
            agents.register(tx, str(HOST))


def test_a_control_plane_that_was_away_fences_nobody_when_it_returns(world: Leases) -> None:
    id = world.attach(world.rig.volume())
    world.passes(100 * TERM_S, deaf=True)
    assert world.listen() == [] and world.left_s(id) > TERM_S - SLACK_S
    world.passes(TERM_S - SLACK_S)
    assert world.listen() == [] and status(world, id) == "attached"
    world.passes(SLACK_S)
    assert len(world.listen()) == 1 and status(world, id) == "gone"


def test_a_clock_that_was_set_back_or_forth_fences_nobody(world: Leases) -> None:

    id = world.attach(world.rig.volume())
    for by in (-(10**12), 10**12):  # everything written looks so much older, or comes from the future
        with world.rig.database.write() as tx:
            tx.run(update(leases).values(until=leases.c.until + by))
            tx.run(update(hearing).values(at=hearing.c.at + by))
        assert world.listen() == []
        assert TERM_S - SLACK_S < world.left_s(id) <= TERM_S


def test_while_there_are_no_leases_nothing_is_written(world: Leases) -> None:

    with world.rig.database.read() as tx:
        before = tx.all(hearing.select())
    assert lapse_leases.listen_and_lapse(world.rig.rooms) == []
    with world.rig.database.read() as tx:
        assert tx.all(hearing.select()) == before


def test_a_lease_of_what_is_over_already_just_goes(world: Leases) -> None:
    volume = world.rig.volume()
    id = world.attach(volume)
    assert world.rig.call("DELETE", f"/attachments/{id}").status == 200
    again = world.attach(volume, None)
    world.passes(TERM_S)
    assert world.listen() == [] and world.row(id) is None and status(world, again) == "attached"


def test_a_renewal_and_a_lapse_do_not_both_win(world: Leases) -> None:
    register(world)
    ids = [world.attach(world.rig.volume()) for _ in range(6)]
    world.passes(TERM_S)
    barrier = threading.Barrier(3)

    def lapse() -> list[str]:
        barrier.wait()
        return lapse_leases.listen_and_lapse(world.rig.rooms)

    def renew() -> list[str]:
        barrier.wait()
        return beat(world, *ids)

    with ThreadPoolExecutor(3) as pool:
        lapses, renewal = [pool.submit(lapse) for _ in range(2)], pool.submit(renew)
        begun, renewed = [*lapses[0].result(), *lapses[1].result()], renewal.result()
    for operation in begun:
        world.over(operation)
    for id in ids:  # each was renewed, and is attached; or has lapsed, and was told so
        assert (status(world, id), world.row(id) is not None) == (
            ("attached", True) if id in renewed else ("gone", False)
        )
    assert len(begun) == len(ids) - len(renewed)


def test_a_holder_who_deletes_while_it_lapses_gets_his_answer(world: Leases) -> None:
    volume = world.rig.volume()
    id = world.attach(volume)
    world.passes(TERM_S)
    barrier = threading.Barrier(2)

    def lapse() -> list[str]:
        barrier.wait()
        return lapse_leases.listen_and_lapse(world.rig.rooms)

    def delete() -> int:
        barrier.wait()
        return world.rig.call("DELETE", f"/attachments/{id}").status

    with ThreadPoolExecutor(2) as pool:
        lapsing, deleting = pool.submit(lapse), pool.submit(delete)
        begun, answer = lapsing.result(), deleting.result()
    for operation in begun:
        world.over(operation)
    assert answer in (200, 404) and world.rig.settled(volume) == "available"


def test_why_says_who_renews_it_and_when_it_lapses_and_why_it_did(world: Leases) -> None:
    id = world.attach(world.rig.volume())
    with world.rig.database.read() as tx:
        told = why(tx, NOBODY, "attachment", id)
        assert f"lease of {TERM_S} s lapses at 2" in told.next and "host compute1" in told.next
        assert any("renew its lease" in may for may in told.you_may)
    world.passes(TERM_S)
    world.listen()
    with world.rig.database.read() as tx:
        told = why(tx, NOBODY, "attachment", id)
    assert (told.state, "lapsed" in told.sentence) == (State.DETACHED, True)


def test_the_first_lease_after_a_quiet_time_has_just_its_term(world: Leases) -> None:
    with world.rig.database.write() as tx:
        tx.run(update(hearing).values(at=tx.now - 10**10))  # nothing was to be heard for hours
    id = world.attach(world.rig.volume())
    with world.rig.database.write() as tx:
        tx.run(update(leases).values(until=tx.now))
    assert len(world.listen()) == 1 and status(world, id) == "gone"


def test_whoever_gives_a_lease_after_a_deaf_time_does_not_hide_it(world: Leases) -> None:
    old = world.attach(world.rig.volume())
    for _ in range(4):  # whatever the order of the ids
        world.passes(100 * TERM_S, deaf=True)
        world.attach(world.rig.volume())
    assert world.listen() == [] and world.left_s(old) > TERM_S - SLACK_S
