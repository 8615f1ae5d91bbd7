"""What a list of namespaces is asked for, read from the query."""

from moorage.api.image.queries import Query, one_of, read_limit
from moorage.core.errors import Malformed
from moorage.core.paging import Order, Page
from moorage.images.metadefs.namespaces import Visibility, Wanted
from moorage.images.settings import ImageSettings

SORT_KEYS = ("namespace", "display_name", "visibility", "created_at", "updated_at", "id")


def wanted(query: Query, settings: ImageSettings) -> Wanted:
    """What the query asks for; `Malformed` where it cannot be told."""
    asked = dict(query)
    for name in asked:
        if name not in ("limit", "marker", "sort_key", "sort_dir", "visibility", "resource_types"):
            raise Malformed(reason=f"Namespaces are not listed by {name[:64]}.")
    limit = read_limit(asked["limit"]) if "limit" in asked else settings.page
    key = one_of("sort_key", asked.get("sort_key", "created_at"), SORT_KEYS)
    descending = one_of("sort_dir", asked.get("sort_dir", "desc"), ("asc", "desc")) == "desc"
    order = (Order(key, descending), *(Order(other, descending) for other in ("created_at", "id") if other != key))
    visibility = one_of("visibility", asked["visibility"], list(Visibility)) if "visibility" in asked else None
    types = [name for name in asked.get("resource_types", "").split(",") if name]
    return Wanted(Page(min(limit, settings.largest_page), asked.get("marker"), order), visibility, types)
