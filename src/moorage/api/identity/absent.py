"""What Identity elsewhere keeps and this one does not: there is nothing of it, and nothing can be made."""

from moorage.api.identity import policy, shown
from moorage.api.request import Answer, Request


def policies(request: Request) -> Answer:
    """None."""
    policy.may_read(request.caller, "list_policies")
    return shown.collection(request, "policies", [])


def credentials(request: Request) -> Answer:
    """None, for anybody."""
    return shown.collection(request, "credentials", [])


def trusts(request: Request) -> Answer:
    """None, for anybody."""
    return shown.collection(request, "trusts", [])


def access_rules(request: Request) -> Answer:
    """None: application credentials that have some are refused."""
    own = request.params["user_id"] == request.caller.user_id
    policy.may_read(request.caller, "list_access_rules", own=own)
    return shown.collection(request, "access_rules", [])


def registered_limits(request: Request) -> Answer:
    """None: quotas belong to the services that count."""
    return shown.collection(request, "registered_limits", [])


def limits(request: Request) -> Answer:
    """None: quotas belong to the services that count."""
    return shown.collection(request, "limits", [])


def limit_model(request: Request) -> Answer:
    """The flat model: no project's limit depends on another's."""
    return Answer(200, {"model": {"name": "flat", "description": "Limits do not depend on the tree of projects."}})
