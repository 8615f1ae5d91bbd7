"""
The ten promises that hold whenever nothing is under way, each as a function of what there is.

They are numbered as in `docs/upstream-races.md`.  The sixth, that nothing comes back, is asked of two looks.
"""

from collections.abc import Callable, Iterator

from tests.properties.model import Held, Volume
from tests.properties.sight import Row, Sight

Breaches = Iterator[str]


def status_follows(now: Sight, before: Sight) -> Breaches:
    """1. A volume's status follows from its operations and its attachments."""
    for id, row in now.volumes.items():
        model = Volume(override=row["override"], held=tuple(_standing(c) for c in now.held(id)))
        if not row["head"]:
            model = Volume(override=row["override"] or "error")
        if not [one for one in now.under_way if one["resource_id"] == id] and row["status"] != model.status:
            yield f"volume {id} is {row['status']}, and must be {model.status}"


def _standing(claim: Row) -> Held:
    return Held(claim["id"], state=claim["state"], origin=claim["origin"], leaving=claim["mark"] == "leaving")


def one_holder(now: Sight, before: Sight) -> Breaches:
    """2. A volume for one has one holder, who is not twice on one host."""
    for id, row in now.volumes.items():
        held = now.held(id)
        if row["multiattach"] or len(held) < 2:
            continue
        instances = {claim["instance_uuid"] for claim in held}
        if len(instances) > 1 or instances == {None}:
            yield f"volume {id} has the holders {sorted(map(str, instances))}"
        hosts = [claim["host"] for claim in held if claim["connector"]]
        if len(hosts) != len(set(hosts)):
            yield f"volume {id} is more than once on one of the hosts {hosts}"


def doors_match(now: Sight, before: Sight) -> Breaches:
    """3. There is an export, and a gate where it needs one, exactly for each row that asks for it."""
    for id in {*now.exports, *now.volumes}:
        wanted = frozenset(f"e{claim['export']}" for claim in now.served(id))
        found = now.exports.get(id, frozenset())
        if wanted != found or (id in now.exports and not wanted):
            yield f"volume {id} has the exports {sorted(found)}, and must have {sorted(wanted)}"
    served = [claim for id in now.volumes for claim in now.served(id)]
    gated = {claim["export"] for claim in served if claim["door"] != "private"}
    for name in gated - set(now.gates):
        yield f"export {name} has no gate"
    known = {claim["export"] for sight in (now, before) for claim in sight.claims.values() if claim["export"]}
    for name in (known & set(now.gates)) - gated:
        yield f"export {name} has a gate that nobody asks for"


def available_is_free(now: Sight, before: Sight) -> Breaches:
    """4. Nobody holds a volume that is available, nothing serves it, and nothing is under way on it."""
    busy = {one["resource_id"] for one in now.under_way}
    for id, row in now.volumes.items():
        if row["status"] == "available" and (now.held(id) or id in now.exports or id in busy):
            yield f"volume {id} is available, and somebody has to do with it"


def gone_is_gone(now: Sight, before: Sight) -> Breaches:
    """5. Of a volume that was deleted there is nothing: no holder, no daemon, no bytes."""
    for id in now.ever - set(now.volumes):
        if now.held(id) or id in now.exports:
            yield f"volume {id} is gone, and somebody holds it"
        left = [name for name in now.layers if f"/{id}/" in name]
        if left:
            yield f"volume {id} is gone, and its layers {left} are not"


def nothing_returns(now: Sight, before: Sight) -> Breaches:
    """6. An attachment that is over stays so, without a door; a generation never goes back."""
    for id, claim in now.claims.items():
        was = before.claims.get(id)
        if claim["state"] == "detached" and (claim["export"] or claim["secret"] or not claim["detached_at"]):
            yield f"attachment {id} is over, and still has a door"
        if was is None:
            continue
        if was["state"] == "detached" and claim["state"] != "detached":
            yield f"attachment {id} was over, and is {claim['state']} again"
        if claim["generation"] < was["generation"]:
            yield f"attachment {id} went back from generation {was['generation']} to {claim['generation']}"
    for id in before.claims.keys() - now.claims.keys():
        yield f"attachment {id} is forgotten"


def nothing_waits(now: Sight, before: Sight) -> Breaches:
    """7. Nothing stays in a state that only an operation leaves."""
    for one in now.under_way:
        yield f"operation {one['id']} ({one['kind']}) is {one['state']}"
    for id, claim in now.claims.items():
        half = (claim["state"] == "attaching" and not claim["connection"]) or claim["mark"] in ("kept", "back")
        if half or claim["state"] in ("detaching", "error_detaching"):
            yield f"attachment {id} is {claim['state']}, and nobody is at work on it"


def quota_is_the_count(now: Sight, before: Sight) -> Breaches:
    """8. What projects are charged is what they have."""
    for project, usage in now.usage.items():
        if usage != now.counted.get(project, {}):
            yield f"project {project} is charged {usage}, and has {now.counted.get(project)}"


def devices_match(now: Sight, before: Sight) -> Breaches:
    """9. There is a device of this host exactly for each attachment that is used through one."""
    wanted = {c["id"] for id in now.volumes for c in now.served(id) if "device_path" in c["connection"]}
    for id in wanted - set(now.devices):
        yield f"attachment {id} has no device"
    for id in set(now.devices) - wanted:
        yield f"attachment {id} has a device that nobody asks for"


def readers_read(now: Sight, before: Sight) -> Breaches:
    """10. What is attached to be read cannot be written to; `holders` tries it."""
    for claim in (claim for id in now.volumes for claim in now.served(id)):
        writes = claim["mode"] != "ro"
        device, gate = now.devices.get(claim["id"]), now.gates.get(claim["export"])
        if device is not None and device == writes:
            yield f"the device of attachment {claim['id']} ({claim['mode']}) is {'read-only' if device else 'writable'}"
        if gate is not None and gate == writes:
            yield f"the gate of attachment {claim['id']} ({claim['mode']}) is {'read-only' if gate else 'writable'}"


ALL: tuple[Callable[[Sight, Sight], Breaches], ...] = (
    status_follows,
    one_holder,
    doors_match,
    available_is_free,
    gone_is_gone,
    nothing_returns,
    nothing_waits,
    quota_is_the_count,
    devices_match,
    readers_read,
)


def breaches(now: Sight, before: Sight) -> list[str]:
    """Every promise that is broken, and how."""
    return [f"{invariant.__doc__} {breach}" for invariant in ALL for breach in invariant(now, before)]
