"""Who may do what with images. The names are those that operators know from Glance's policy."""

from collections.abc import Mapping
from typing import Any

from moorage.core.caller import Caller, Needs, Rule
from moorage.core.errors import Forbidden
from moorage.images.errors import NotOwner

# fmt: off
ADD          = Rule("add_image",             Needs.MEMBER)   # for his own project
LIST         = Rule("get_images",            Needs.READER)
GET          = Rule("get_image",             Needs.READER)
MODIFY       = Rule("modify_image",          Needs.MEMBER)   # of the owner, like all that change something
DELETE       = Rule("delete_image",          Needs.MEMBER)
UPLOAD       = Rule("upload_image",          Needs.MEMBER)
DOWNLOAD     = Rule("download_image",        Needs.MEMBER)   # a pure reader cannot
PUBLICIZE    = Rule("publicize_image",       Needs.ADMIN)
COMMUNITIZE  = Rule("communitize_image",     Needs.MEMBER)
DEACTIVATE   = Rule("deactivate",            Needs.MEMBER)
REACTIVATE   = Rule("reactivate",            Needs.MEMBER)
ADD_MEMBER   = Rule("add_member",            Needs.MEMBER)
DROP_MEMBER  = Rule("delete_member",         Needs.MEMBER)
GET_MEMBERS  = Rule("get_members",           Needs.READER)
SET_MEMBER   = Rule("modify_member",         Needs.MEMBER)   # of the member, not of the owner
STORES       = Rule("stores_info_detail",    Needs.SERVICE)
LOCATIONS    = Rule("fetch_image_location",  Needs.SERVICE)
ADD_LOCATION = Rule("add_image_location",    Needs.SERVICE)
ADD_OWN_LOCATION = Rule("add_image_location", Needs.MEMBER)  # where everybody can look
SET_LOCATION = Rule("set_image_location",    Needs.MEMBER)   # the old way
COPY         = Rule("copy_image",            Needs.ADMIN)
COPY_OWN     = Rule("copy_image",            Needs.MEMBER)   # where the configuration lets owners copy
DROP_COPY    = Rule("delete_image_location", Needs.ADMIN)
TASKS        = Rule("tasks_api_access",      Needs.ADMIN)
# fmt: on


def permit(caller: Caller, rule: Rule) -> None:
    """Refuse what `rule` does not let the caller do in his own project; images are for projects, not for the system."""
    if caller.system or (caller.project_id is None and caller.domain_id is not None):
        raise Forbidden(action=rule.name)
    caller.must(rule)


def permit_on(caller: Caller, rule: Rule, image: Mapping[str, Any]) -> None:
    """Refuse what `rule` does not let the caller do with an image, that he can see, of its owner."""
    permit(caller, GET)
    caller.must(rule, image["owner"] or "")


def own(caller: Caller, owner: str | None, do: str) -> None:
    """Refuse a caller who would make `owner` the owner of an image and is neither that project nor an administrator."""
    if not caller.sees(owner):
        raise NotOwner(owner=owner, do=do)
