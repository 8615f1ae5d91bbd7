"""python -m conformance.suite settings | configure | tell | judge: what the part `tempest` needs besides shell."""

import os
import re
import sys
from pathlib import Path

import yaml

_LINE = re.compile(r"\{\d+\} (\S.*?) (?:\[[\d.]+s\] )?\.\.\. (ok|FAILED|SKIPPED)")

_CONF = """\
[DEFAULT]
log_file = {work}/tempest.log
[oslo_concurrency]
lock_path = {work}/lock
[auth]
use_dynamic_credentials = true
create_isolated_networks = false
admin_username = {admin[username]}
admin_password = {admin[password]}
admin_project_name = {admin[project_name]}
admin_domain_name = Default
tempest_roles = member
[identity]
uri_v3 = http://127.0.0.1:{tap}/identity/v3
auth_version = v3
region = RegionOne
default_domain_id = default
[identity-feature-enabled]
api_v3 = true
[service_available]
cinder = false
glance = true
nova = false
neutron = false
swift = false
horizon = false
[validation]
run_validation = false
[image]
region = RegionOne
http_image = http://127.0.0.1:{web}/img.raw
http_qcow2_image = http://127.0.0.1:{web}/img.qcow2
container_formats = bare
disk_formats = raw,qcow2
build_timeout = 150
[image-feature-enabled]
import_image = true
os_glance_reserved = true
manage_locations = true
"""


HTTP = '[[stores]]\nid = "web"\nkind = "http"\n'


def settings(target: str, state: str, web: str, hashes: str = "computed") -> None:
    """
    Write the configuration of a Moorage with stores as the recorded Glance had, which may fetch from port `web`, and
    computes hashes of locations, or believes what is said of them.
    """
    rows = "".join(f'[[stores]]\nid = "{id}"\npath = "{state}/{id}"\n' for id in ("fast", "slow", "third"))
    fetch = f'[fetch]\nallowed_networks = ["127.0.0.1/32"]\nallowed_ports = [{web}]\n'
    computed = str(hashes == "computed").lower()
    images = f"[images]\nshow_multiple_locations = true\ndo_secure_hash = {computed}\n"
    Path(target).write_text(images + rows + HTTP + fetch)


def configure(target: str, work: str, tap: str, web: str) -> None:
    """Write Tempest's configuration for the cloud behind port `tap`, with images to import at port `web`."""
    admin = yaml.safe_load(Path(work, "state/clouds.yaml").read_text())["clouds"]["moorage-admin"]["auth"]
    Path(target).write_text(_CONF.format(work=work, admin=admin, tap=tap, web=web))


def results(log: str) -> dict[str, str]:
    """What became of each test, by its name without attributes; a class that is skipped whole has its own name."""
    found = {}
    for line in Path(log).read_text(errors="replace").splitlines():
        if match := _LINE.match(line):
            found[re.sub(r"\[.*\]$", "", match[1].strip())] = match[2]
    return found


def names(path: str) -> set[str]:
    """The tests of Image that a list names; what follows two spaces is a reason."""
    lines = Path(path).read_text().splitlines() if Path(path).exists() else []
    return {line.split("  ")[0].strip() for line in lines if line.startswith("tempest.api.image.")}


def tell(log: str) -> None:
    """Print what did not pass."""
    found = results(log)
    print("\n".join(f"{how} {test}" for test, how in sorted(found.items()) if how != "ok"))
    print(f"{sum(how == 'ok' for how in found.values())} of {len(found)} passed")


def judge(log: str, kept: str, peer: str, missing: str) -> None:
    """Exit 1 where a test failed, or one did not pass that is kept, or that the peer passes and nobody excuses."""
    found = results(log)
    passed = {test for test, how in found.items() if how == "ok"}
    before, excused = names(kept), names(missing)
    wanted = before | (names(peer) - excused)
    for test in sorted(wanted - passed):
        print(f"{found.get(test, 'did not run')}: {test}")
    failed = {test for test, how in found.items() if how == "FAILED"} - wanted - excused
    print("".join(f"FAILED: {test}\n" for test in sorted(failed)), end="")
    fresh = passed - before
    if fresh and os.environ.get("TEMPEST_WRITE"):
        Path(kept).write_text("".join(f"{test}\n" for test in sorted(before | passed)))
    elif fresh:
        print(f"{len(fresh)} more passed than are kept: TEMPEST_WRITE=1 enters them")
    if late := sorted(excused & passed):
        print("excused, and passed: take out of the list of what is missing:", *late)
    print(f"tempest: {len(passed)} passed; of {len(names(peer))} of the peer's {len(names(peer) & passed)}")
    sys.exit(bool(wanted - passed or failed or not passed))


if __name__ == "__main__":
    {"settings": settings, "configure": configure, "tell": tell, "judge": judge}[sys.argv[1]](*sys.argv[2:])
