"""All calls of metadata definitions."""

from moorage.api.image.media import JSON
from moorage.api.image.metadefs import bodies, namespaces, objects, properties, resource_types, tags
from moorage.api.routes import Route

_ALL = "/v2/metadefs/namespaces"
_ONE = _ALL + "/{namespace}"
_LIST = ("limit", "marker", "sort_key", "sort_dir", "visibility", "resource_types")
_ON = ("resource_type",)

# fmt: off
ROUTES = (
    Route("GET",    "/v2/metadefs/resource_types", resource_types.index),

    Route("GET",    _ALL,                          namespaces.index, query=_LIST),
    Route("POST",   _ALL,                          namespaces.create, body=bodies.NAMESPACE, body_type=JSON,
          success=201),
    Route("GET",    _ONE,                          namespaces.show, query=_ON),
    Route("PUT",    _ONE,                          namespaces.replace, body=bodies.NAMESPACE, body_type=JSON),
    Route("DELETE", _ONE,                          namespaces.delete, success=204),

    Route("GET",    _ONE + "/resource_types",      resource_types.associated),
    Route("POST",   _ONE + "/resource_types",      resource_types.associate, body=bodies.ASSOCIATION, body_type=JSON,
          success=201),
    Route("DELETE", _ONE + "/resource_types/{name}", resource_types.dissociate, success=204),

    Route("GET",    _ONE + "/properties",          properties.index),
    Route("POST",   _ONE + "/properties",          properties.create, body=bodies.PROPERTY, body_type=JSON,
          success=201),
    Route("DELETE", _ONE + "/properties",          properties.clear, success=204),
    Route("GET",    _ONE + "/properties/{name}",   properties.show, query=_ON),
    Route("PUT",    _ONE + "/properties/{name}",   properties.replace, body=bodies.PROPERTY, body_type=JSON),
    Route("DELETE", _ONE + "/properties/{name}",   properties.delete, success=204),

    Route("GET",    _ONE + "/objects",             objects.index),
    Route("POST",   _ONE + "/objects",             objects.create, body=bodies.OBJECT, body_type=JSON, success=201),
    Route("DELETE", _ONE + "/objects",             objects.clear, success=204),
    Route("GET",    _ONE + "/objects/{name}",      objects.show),
    Route("PUT",    _ONE + "/objects/{name}",      objects.replace, body=bodies.OBJECT, body_type=JSON),
    Route("DELETE", _ONE + "/objects/{name}",      objects.delete, success=204),

    Route("GET",    _ONE + "/tags",                tags.index),
    Route("POST",   _ONE + "/tags",                tags.replace_all, body=bodies.TAGS, body_type=JSON, success=201),
    Route("DELETE", _ONE + "/tags",                tags.clear, success=204),
    Route("POST",   _ONE + "/tags/{name}",         tags.create, success=201),
    Route("GET",    _ONE + "/tags/{name}",         tags.show),
    Route("PUT",    _ONE + "/tags/{name}",         tags.rename, body=bodies.TAG, body_type=JSON),
    Route("DELETE", _ONE + "/tags/{name}",         tags.delete, success=204),
)
# fmt: on
