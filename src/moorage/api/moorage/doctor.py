"""The doctor: what is wrong on this host, and its repair."""

from collections.abc import Callable

from moorage.api.moorage import policy
from moorage.api.request import Answer, Later, Request
from moorage.flows.reconciliation import examine_host
from moorage.operations import journal


def examine(request: Request) -> Later:
    """Find what is wrong on this host; with `fix`, have it repaired and look again."""
    request.caller.must(policy.DOCTOR)
    fix = bool((request.body or {}).get("fix", False))
    with request.write() as tx:
        operation = examine_host.begin(tx, request.rooms, request.caller, fix=fix)
    return Later(operation, _told(operation))


def _told(operation: str) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        with request.read() as tx:
            results = (journal.get(tx, operation) or {})["results"]
        left = results["look-again"]["findings"]
        failed = results["repair"]["failed"]
        return Answer(body={"doctor": {"findings": results["look"]["findings"], "left": left, "failed": failed}})

    return answer
