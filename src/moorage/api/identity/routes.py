"""Every call of Identity v3."""

from moorage.api.identity import (
    absent,
    assignments,
    credentials,
    discovery,
    domains,
    endpoints,
    grants,
    groups,
    projects,
    regions,
    roles,
    schemas,
    services,
    tokens,
    users,
)
from moorage.api.routes import Route

_NAMED = ("name", "domain_id", "enabled")
_PROJECT_FILTERS = (*_NAMED, "parent_id", "is_domain", "tags", "tags-any", "not-tags", "not-tags-any")
_CREDENTIALS = "/v3/users/{user_id}/application_credentials"

# fmt: off
_OPEN = (
    Route("GET",    "/",                      discovery.versions, open=True, success=300),
    Route("GET",    "/v3",                    discovery.v3, open=True),
    Route("GET",    "/v2.0",                  discovery.gone, open=True, success=404),
)
_TOKENS = (
    Route("POST",   "/v3/auth/tokens",        tokens.create, body=schemas.AUTH, open=True, stream=True, success=201,
          query=("nocatalog",)),
    Route("GET",    "/v3/auth/tokens",        tokens.show, query=("nocatalog", "allow_expired")),
    Route("DELETE", "/v3/auth/tokens",        tokens.delete, success=204),
    Route("GET",    "/v3/auth/projects",      tokens.projects_of),
    Route("GET",    "/v3/auth/domains",       tokens.domains_of),
    Route("GET",    "/v3/auth/system",        tokens.systems_of),
    Route("GET",    "/v3/auth/catalog",       tokens.catalog_of),
)
_PROJECTS = (
    Route("POST",   "/v3/projects",                   projects.create, body=schemas.PROJECT_CREATE, success=201),
    Route("GET",    "/v3/projects",                   projects.index, query=_PROJECT_FILTERS),
    Route("GET",    "/v3/projects/{id}",              projects.show, query=("parents_as_ids", "subtree_as_ids")),
    Route("PATCH",  "/v3/projects/{id}",              projects.update, body=schemas.PROJECT_UPDATE),
    Route("DELETE", "/v3/projects/{id}",              projects.delete, success=204),
    Route("GET",    "/v3/projects/{id}/tags",         projects.tags),
    Route("PUT",    "/v3/projects/{id}/tags",         projects.set_tags, body=schemas.TAGS),
    Route("DELETE", "/v3/projects/{id}/tags",         projects.clear_tags, success=204),
    Route("GET",    "/v3/projects/{id}/tags/{tag}",   projects.has_tag, success=204),
    Route("PUT",    "/v3/projects/{id}/tags/{tag}",   projects.add_tag, success=201),
    Route("DELETE", "/v3/projects/{id}/tags/{tag}",   projects.drop_tag, success=204),
    Route("POST",   "/v3/domains",                    domains.create, body=schemas.DOMAIN_CREATE, success=201),
    Route("GET",    "/v3/domains",                    domains.index, query=("name", "enabled")),
    Route("GET",    "/v3/domains/{id}",               domains.show),
    Route("PATCH",  "/v3/domains/{id}",               domains.update, body=schemas.DOMAIN_UPDATE),
    Route("DELETE", "/v3/domains/{id}",               domains.delete, success=204),
)
_USERS = (
    Route("POST",   "/v3/users",                      users.create, body=schemas.USER_CREATE, stream=True, success=201),
    Route("GET",    "/v3/users",                      users.index, query=_NAMED),
    Route("GET",    "/v3/users/{id}",                 users.show),
    Route("PATCH",  "/v3/users/{id}",                 users.update, body=schemas.USER_UPDATE, stream=True),
    Route("DELETE", "/v3/users/{id}",                 users.delete, success=204),
    Route("POST",   "/v3/users/{id}/password",        users.change_password, body=schemas.PASSWORD_CHANGE, stream=True,
          success=204),
    Route("GET",    "/v3/users/{id}/projects",        users.projects_of, query=("name", "enabled")),
    Route("GET",    "/v3/users/{id}/groups",          users.groups_of),
    Route("POST",   _CREDENTIALS,                     credentials.create, body=schemas.CREDENTIAL_CREATE, stream=True,
          success=201),
    Route("GET",    _CREDENTIALS,                     credentials.index, query=("name",)),
    Route("GET",    _CREDENTIALS + "/{id}",           credentials.show),
    Route("DELETE", _CREDENTIALS + "/{id}",           credentials.delete, success=204),
    Route("POST",   "/v3/groups",                     groups.create, body=schemas.GROUP_CREATE, success=201),
    Route("GET",    "/v3/groups",                     groups.index, query=("name", "domain_id")),
    Route("GET",    "/v3/groups/{id}",                groups.show),
    Route("PATCH",  "/v3/groups/{id}",                groups.update, body=schemas.GROUP_UPDATE),
    Route("DELETE", "/v3/groups/{id}",                groups.delete, success=204),
    Route("GET",    "/v3/groups/{id}/users",          groups.users, query=("name",)),
    Route("PUT",    "/v3/groups/{id}/users/{user_id}",    groups.add, success=204),
    Route("GET",    "/v3/groups/{id}/users/{user_id}",    groups.has, success=204),
    Route("DELETE", "/v3/groups/{id}/users/{user_id}",    groups.take_out, success=204),
)
_IMPLIES = "/v3/roles/{prior_id}/implies"
_ROLES = (
    Route("POST",   "/v3/roles",                      roles.create, body=schemas.ROLE_CREATE, success=201),
    Route("GET",    "/v3/roles",                      roles.index, query=("name", "domain_id")),
    Route("GET",    "/v3/roles/{id}",                 roles.show),
    Route("PATCH",  "/v3/roles/{id}",                 roles.update, body=schemas.ROLE_UPDATE),
    Route("DELETE", "/v3/roles/{id}",                 roles.delete, success=204),
    Route("GET",    "/v3/role_inferences",            roles.inferences),
    Route("GET",    _IMPLIES,                         roles.implied),
    Route("PUT",    _IMPLIES + "/{implied_id}",       roles.imply, success=201),
    Route("GET",    _IMPLIES + "/{implied_id}",       roles.implies),
    Route("DELETE", _IMPLIES + "/{implied_id}",       roles.imply_no_more, success=204),
    Route("GET",    "/v3/role_assignments",           assignments.index,
          query=("user.id", "group.id", "role.id", "scope.project.id", "scope.domain.id", "scope.system",
                 "scope.OS-INHERIT:inherited_to", "effective", "include_names", "include_subtree")),
)


def _grants(target: str, actor: str, prefix: str = "", suffix: str = "") -> tuple[Route, ...]:
    """The calls about roles of an actor on a target."""
    path = f"/v3{prefix}/{target}/{actor}/{{actor_id}}/roles"
    return (
        Route("GET",    path + suffix,                    grants.index),
        Route("PUT",    path + "/{role_id}" + suffix,     grants.grant, success=204),
        Route("GET",    path + "/{role_id}" + suffix,     grants.has, success=204),
        Route("DELETE", path + "/{role_id}" + suffix,     grants.revoke, success=204),
    )


_PLACES = ("projects/{target_id}", "domains/{target_id}")
_GRANTS = (
    *(route for actor in ("users", "groups") for place in (*_PLACES, "system") for route in _grants(place, actor)),
    *(route for actor in ("users", "groups") for place in _PLACES
      for route in _grants(place, actor, "/OS-INHERIT", "/inherited_to_projects")),
)
_CATALOG = (
    Route("POST",   "/v3/regions",                    regions.create, body=schemas.REGION_CREATE, success=201),
    Route("GET",    "/v3/regions",                    regions.index, query=("parent_region_id",)),
    Route("PUT",    "/v3/regions/{id}",               regions.put, body=schemas.REGION_CREATE, success=201),
    Route("GET",    "/v3/regions/{id}",               regions.show),
    Route("PATCH",  "/v3/regions/{id}",               regions.update, body=schemas.REGION_UPDATE),
    Route("DELETE", "/v3/regions/{id}",               regions.delete, success=204),
    Route("POST",   "/v3/services",                   services.create, body=schemas.SERVICE_CREATE, success=201),
    Route("GET",    "/v3/services",                   services.index, query=("type", "name")),
    Route("GET",    "/v3/services/{id}",              services.show),
    Route("PATCH",  "/v3/services/{id}",              services.update, body=schemas.SERVICE_UPDATE),
    Route("DELETE", "/v3/services/{id}",              services.delete, success=204),
    Route("POST",   "/v3/endpoints",                  endpoints.create, body=schemas.ENDPOINT_CREATE, success=201),
    Route("GET",    "/v3/endpoints",                  endpoints.index, query=("service_id", "interface", "region_id")),
    Route("GET",    "/v3/endpoints/{id}",             endpoints.show),
    Route("PATCH",  "/v3/endpoints/{id}",             endpoints.update, body=schemas.ENDPOINT_UPDATE),
    Route("DELETE", "/v3/endpoints/{id}",             endpoints.delete, success=204),
)
_ABSENT = (
    Route("GET",    "/v3/policies",                   absent.policies),
    Route("GET",    "/v3/credentials",                absent.credentials),
    Route("GET",    "/v3/OS-TRUST/trusts",            absent.trusts),
    Route("GET",    "/v3/users/{user_id}/access_rules",   absent.access_rules),
    Route("GET",    "/v3/registered_limits",          absent.registered_limits),
    Route("GET",    "/v3/limits",                     absent.limits),
    Route("GET",    "/v3/limits/model",               absent.limit_model),
)
# fmt: on

ROUTES = (*_OPEN, *_TOKENS, *_PROJECTS, *_USERS, *_ROLES, *_GRANTS, *_CATALOG, *_ABSENT)
