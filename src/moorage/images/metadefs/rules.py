"""Who may do what with metadata definitions. The names are those that operators know from Glance's policy."""

from moorage.core.caller import Needs, Rule

# fmt: off
GET_NAMESPACE   = Rule("get_metadef_namespaces",              Needs.READER)
ADD_NAMESPACE   = Rule("add_metadef_namespace",               Needs.ADMIN)
SET_NAMESPACE   = Rule("modify_metadef_namespace",            Needs.ADMIN)
DROP_NAMESPACE  = Rule("delete_metadef_namespace",            Needs.ADMIN)
ASSOCIATE       = Rule("add_metadef_resource_type_association",    Needs.ADMIN)
DISSOCIATE      = Rule("remove_metadef_resource_type_association", Needs.ADMIN)
# fmt: on


def add(kind: str) -> Rule:
    """What adding a definition of `kind` takes."""
    return Rule(f"add_metadef_{kind}", Needs.ADMIN)


def modify(kind: str) -> Rule:
    """What changing a definition of `kind` takes."""
    return Rule(f"modify_metadef_{kind}", Needs.ADMIN)


def remove(kind: str) -> Rule:
    """What deleting definitions of `kind` takes."""
    return Rule(f"delete_metadef_{kind}", Needs.ADMIN)
