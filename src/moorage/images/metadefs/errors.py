"""What can go wrong with metadata definitions."""

from moorage.core.errors import Conflict, Malformed, NotFound, Problem, TooLarge


class NamespaceNotFound(NotFound):
    """Metadata definition namespace={namespace} was not found."""

    code = "image.namespace-not-found"


class NamespaceTaken(Conflict):
    """The metadata definition namespace={namespace} already exists."""

    code = "image.namespace-taken"


class NamespaceProtected(Problem):
    """Metadata definition namespace {namespace} is protected and cannot be deleted."""

    status, code = 403, "image.namespace-protected"


class DefinitionNotFound(NotFound):
    """Could not find metadata {kind} {name}"""

    code = "image.definition-not-found"


class DefinitionTaken(Conflict):
    """A metadata definition {kind} with name={name} already exists in namespace={namespace}."""

    code = "image.definition-taken"


class TooManyDefinitions(TooLarge):
    """A namespace has {limit} definitions of one kind at most."""

    code = "image.too-many-definitions"


class AssociationNotFound(NotFound):
    """The resource type {name} is not associated with namespace={namespace}."""

    code = "image.association-not-found"


class AssociationTaken(Conflict):
    """The resource type {name} is associated with namespace={namespace} already."""

    code = "image.association-taken"


class NameUnfit(Malformed):
    """A name has 1 to 80 characters and no slash, since no path could name it otherwise: {name}"""

    code = "image.name-unfit"
