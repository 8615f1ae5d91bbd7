"""All calls of Image v2."""

from moorage.api.front import health
from moorage.api.image import (
    data,
    images,
    importing,
    info,
    locations,
    members,
    schemas,
    tags,
    tasks,
    versions,
)
from moorage.api.image.media import JSON, PATCH_2_1
from moorage.api.image.metadefs import routes as metadefs
from moorage.api.routes import Route

_LIST = (
    "limit marker sort sort_key sort_dir name id status container_format disk_format created_at updated_at size_min "
    "size_max tag owner checksum os_hash_value protected os_hidden visibility member_status"
)
_TASKS = "limit marker sort_key sort_dir type status"

# fmt: off
ROUTES = (
    Route("GET",    "/",                                 versions.choices, open=True, success=300),
    Route("GET",    "/versions",                         versions.versions, open=True),
    Route("GET",    "/healthcheck",                      health, open=True),

    Route("GET",    "/v2/images",                        images.index, query=tuple(_LIST.split())),
    Route("POST",   "/v2/images",                        images.create, body=schemas.CREATE, body_type=JSON,
          success=201),
    Route("GET",    "/v2/images/{id}",                   images.show),
    Route("PATCH",  "/v2/images/{id}",                   images.update, body=schemas.PATCH, body_type=PATCH_2_1),
    Route("DELETE", "/v2/images/{id}",                   images.delete, success=204),
    Route("PUT",    "/v2/images/{id}/file",              data.upload, stream=True, success=204),
    Route("GET",    "/v2/images/{id}/file",              data.download, query=("prefer",)),
    Route("PUT",    "/v2/images/{id}/stage",             importing.stage, stream=True, success=204),
    Route("POST",   "/v2/images/{id}/import",            importing.start, body=schemas.IMPORT, success=202),
    Route("POST",   "/v2/images/{id}/actions/deactivate", images.deactivate, success=204),
    Route("POST",   "/v2/images/{id}/actions/reactivate", images.reactivate, success=204),
    Route("PUT",    "/v2/images/{id}/tags/{tag}",        tags.add, success=204),
    Route("DELETE", "/v2/images/{id}/tags/{tag}",        tags.remove, success=204),
    Route("GET",    "/v2/images/{id}/members",           members.index),
    Route("POST",   "/v2/images/{id}/members",           members.create, body=schemas.ADD_MEMBER),
    Route("GET",    "/v2/images/{id}/members/{member}",  members.show),
    Route("PUT",    "/v2/images/{id}/members/{member}",  members.update, body=schemas.SET_MEMBER),
    Route("DELETE", "/v2/images/{id}/members/{member}",  members.delete, success=204),
    Route("GET",    "/v2/images/{id}/locations",         locations.index),
    Route("POST",   "/v2/images/{id}/locations",         locations.create,
          body=schemas.ADD_LOCATION, body_type=JSON, success=202),
    Route("GET",    "/v2/images/{id}/tasks",             tasks.of_image),

    Route("DELETE", "/v2/stores/{store}/{id}",           importing.leave_store, success=204),
    Route("GET",    "/v2/tasks",                         tasks.index, query=tuple(_TASKS.split())),
    Route("POST",   "/v2/tasks",                         tasks.create, body=schemas.ADD_TASK, success=201),
    Route("GET",    "/v2/tasks/{id}",                    tasks.show),
    Route("GET",    "/v2/info/import",                   info.methods),
    Route("GET",    "/v2/info/stores",                   info.stores),
    Route("GET",    "/v2/info/stores/detail",            info.stores_in_detail),
    Route("GET",    "/v2/info/usage",                    info.usage),
    Route("GET",    "/v2/schemas/{name}",                info.schema),
    Route("GET",    "/v2/schemas/metadefs/{name}",       info.schema_of_metadefs),
    *metadefs.ROUTES,
)
# fmt: on
