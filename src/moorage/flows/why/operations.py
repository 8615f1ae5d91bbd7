"""Why an operation is where it is."""

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.flows.why.answer import Part, Why, owner, seen
from moorage.flows.why.doing import sentence_of, waiting_for
from moorage.operations import journal
from moorage.operations.records import OVER, operations


def why(tx: Transaction, caller: Caller, id: str) -> Why:
    """Where the operation is, and what it waits for."""
    row = seen(tx, caller, operations, "project_id", "operation", id)
    about = f"{row['kind']} of {row['resource_kind']} {row['resource_id']}: "
    answer = Why("operation", id, row["state"], row["ended_at"] or row["updated_at"], about + sentence_of(tx, row))
    if row["state"] in OVER:
        answer.next = "Nothing: it is over, and is forgotten after a week."
        return answer
    answer.operation, answer.next = owner(tx, row), waiting_for(tx, row)
    other = journal.get(tx, row["waits_for"]) if row["waits_for"] not in (None, id) else None
    if other is not None and caller.sees(other["project_id"]):
        answer.blockers = [Part("operation", other["id"], f"{other['kind']}: {sentence_of(tx, other)}")]
    return answer
