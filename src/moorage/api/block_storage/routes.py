"""Every call of Block Storage v3, below `/volume/v3` with or without a project id."""

from collections.abc import Callable

from moorage.api.block_storage import (
    actions,
    actions_attachment,
    actions_image,
    attachments,
    discovery,
    extensions,
    later,
    metadata,
    qos,
    quotas,
    schemas,
    services,
    types,
    volumes,
)
from moorage.api.block_storage.versions import V
from moorage.api.bodies import Body
from moorage.api.request import Outcome, Request
from moorage.api.routes import Route

ACTION = "/volumes/{id}/action"
PAGING = ("limit", "marker", "offset", "sort", "sort_key", "sort_dir")
LISTED = (*PAGING, "all_tenants", *volumes.LISTING.filters)

ATTACHED = (*PAGING, "all_tenants", *attachments.LISTING.filters)


Handler = Callable[[Request], Outcome]


def _act(handler: Handler, name: str, body: Body | None = None, success: int = 200) -> Route:
    return Route("POST", ACTION, handler, action=name, body=body, success=success)


# fmt: off
ROUTES = (
    Route("GET",    "/",                                  discovery.root, open=True, success=300),
    Route("GET",    "/v3",                                discovery.v3, open=True),
    Route("GET",    "/healthcheck",                       discovery.health, open=True),

    Route("POST",   "/volumes",                           volumes.create, body=schemas.VOLUME_CREATE, success=202),
    Route("GET",    "/volumes",                           volumes.index, query=LISTED),
    Route("GET",    "/volumes/detail",                    volumes.detail, query=LISTED),
    Route("GET",    "/volumes/summary",                   volumes.summary, V.SUMMARY, query=("all_tenants",)),
    Route("GET",    "/volumes/{id}",                      volumes.show),
    Route("PUT",    "/volumes/{id}",                      volumes.update, body=schemas.VOLUME_UPDATE),
    Route("DELETE", "/volumes/{id}",                      volumes.delete, success=202, query=("cascade", "force")),
    Route("GET",    "/volumes/{id}/encryption",           volumes.encryption),
    Route("GET",    "/volumes/{id}/encryption/{key}",     volumes.encryption_key),
    Route("GET",    "/volumes/{id}/metadata",             metadata.index),
    Route("POST",   "/volumes/{id}/metadata",             metadata.merge, body=schemas.METADATA),
    Route("PUT",    "/volumes/{id}/metadata",             metadata.replace, body=schemas.METADATA),
    Route("GET",    "/volumes/{id}/metadata/{key}",       metadata.show),
    Route("PUT",    "/volumes/{id}/metadata/{key}",       metadata.put, body=schemas.META_ITEM),
    Route("DELETE", "/volumes/{id}/metadata/{key}",       metadata.remove),
    _act(actions.extend, "os-extend", schemas.EXTEND, success=202),
    _act(actions.retype, "os-retype", schemas.RETYPE, success=202),
    _act(actions.readonly, "os-update_readonly_flag", schemas.READONLY, success=202),
    _act(actions.bootable, "os-set_bootable", schemas.BOOTABLE),
    _act(actions.reset_status, "os-reset_status", schemas.RESET_STATUS, success=202),
    _act(actions.force_delete, "os-force_delete", success=202),
    _act(actions.set_image_metadata, "os-set_image_metadata", schemas.SET_IMAGE_METADATA),
    _act(actions.unset_image_metadata, "os-unset_image_metadata", schemas.UNSET_IMAGE_METADATA),
    _act(actions.show_image_metadata, "os-show_image_metadata"),
    _act(actions_image.upload_image, "os-volume_upload_image", schemas.UPLOAD_IMAGE, success=202),
    _act(actions_attachment.reserve, "os-reserve", success=202),
    _act(actions_attachment.unreserve, "os-unreserve", success=202),
    _act(actions_attachment.begin_detaching, "os-begin_detaching", success=202),
    _act(actions_attachment.roll_detaching, "os-roll_detaching", success=202),
    _act(actions_attachment.initialize_connection, "os-initialize_connection", schemas.INITIALIZE),
    _act(actions_attachment.terminate_connection, "os-terminate_connection", schemas.TERMINATE, success=202),
    _act(actions_attachment.attach, "os-attach", schemas.ATTACH, success=202),
    _act(actions_attachment.detach, "os-detach", schemas.DETACH, success=202),
    _act(actions_attachment.force_detach, "os-force_detach", schemas.FORCE_DETACH, success=202),

    Route("POST",   "/attachments",                       attachments.create,
          V.NEW_ATTACH, body=schemas.ATTACHMENT_CREATE),
    Route("GET",    "/attachments",                       attachments.index, V.NEW_ATTACH, query=ATTACHED),
    Route("GET",    "/attachments/detail",                attachments.detail, V.NEW_ATTACH, query=ATTACHED),
    Route("GET",    "/attachments/{id}",                  attachments.show, V.NEW_ATTACH),
    Route("PUT",    "/attachments/{id}",                  attachments.update,
          V.NEW_ATTACH, body=schemas.ATTACHMENT_UPDATE),
    Route("DELETE", "/attachments/{id}",                  attachments.delete, V.NEW_ATTACH),
    Route("POST",   "/attachments/{id}/action",           attachments.complete,
          V.ATTACH_COMPLETE, action="os-complete", success=204),

    Route("GET",    "/types",                             types.index,
          query=(*PAGING, "is_public", "name", "extra_specs")),
    Route("POST",   "/types",                             types.create, body=schemas.TYPE_CREATE),
    Route("GET",    "/types/default",                     types.show_default),
    Route("GET",    "/types/{id}",                        types.show),
    Route("PUT",    "/types/{id}",                        types.update, body=schemas.TYPE_UPDATE),
    Route("DELETE", "/types/{id}",                        types.delete, success=202),
    Route("GET",    "/types/{id}/extra_specs",            types.specs),
    Route("POST",   "/types/{id}/extra_specs",            types.set_specs, body=schemas.SPECS),
    Route("GET",    "/types/{id}/extra_specs/{key}",      types.spec),
    Route("PUT",    "/types/{id}/extra_specs/{key}",      types.set_spec, body=schemas.SPEC),
    Route("DELETE", "/types/{id}/extra_specs/{key}",      types.delete_spec, success=202),
    Route("GET",    "/types/{id}/os-volume-type-access",  types.access),
    Route("POST",   "/types/{id}/action",                 types.add_access,
          action="addProjectAccess", body=schemas.ADD_ACCESS, success=202),
    Route("POST",   "/types/{id}/action",                 types.remove_access,
          action="removeProjectAccess", body=schemas.REMOVE_ACCESS, success=202),
    Route("GET",    "/types/{id}/encryption",             types.encryption),
    Route("GET",    "/default-types",                     types.default_types, V.DEFAULT_TYPES),
    Route("GET",    "/default-types/{project}",           types.default_type, V.DEFAULT_TYPES),
    Route("PUT",    "/default-types/{project}",           types.set_default_type,
          V.DEFAULT_TYPES, body=schemas.DEFAULT_TYPE),
    Route("DELETE", "/default-types/{project}",           types.unset_default_type, V.DEFAULT_TYPES, success=204),

    Route("GET",    "/qos-specs",                         qos.index, query=PAGING),
    Route("POST",   "/qos-specs",                         qos.create, body=schemas.QOS_CREATE),
    Route("GET",    "/qos-specs/{id}",                    qos.show),
    Route("PUT",    "/qos-specs/{id}",                    qos.update, body=schemas.QOS_UPDATE),
    Route("DELETE", "/qos-specs/{id}",                    qos.delete, success=202, query=("force",)),
    Route("PUT",    "/qos-specs/{id}/delete_keys",        qos.delete_keys, body=schemas.QOS_DELETE_KEYS, success=202),
    Route("GET",    "/qos-specs/{id}/associations",       qos.associations),
    Route("GET",    "/qos-specs/{id}/associate",          qos.associate, success=202, query=("vol_type_id",)),
    Route("GET",    "/qos-specs/{id}/disassociate",       qos.disassociate, success=202, query=("vol_type_id",)),
    Route("GET",    "/qos-specs/{id}/disassociate_all",   qos.disassociate_all, success=202),

    Route("GET",    "/os-quota-sets/{project}",           quotas.show, query=("usage",)),
    Route("GET",    "/os-quota-sets/{project}/defaults",  quotas.defaults),
    Route("PUT",    "/os-quota-sets/{project}",           quotas.update, body=schemas.QUOTA_UPDATE),
    Route("DELETE", "/os-quota-sets/{project}",           quotas.delete),
    Route("GET",    "/os-quota-class-sets/{name}",        quotas.show_class),
    Route("PUT",    "/os-quota-class-sets/{name}",        quotas.update_class, body=schemas.QUOTA_CLASS_UPDATE),
    Route("GET",    "/limits",                            quotas.limits, query=("project_id", "tenant_id")),

    Route("GET",    "/os-services",                       services.index, query=("host", "binary")),
    Route("PUT",    "/os-services/enable",                services.enable, body=schemas.SERVICE),
    Route("PUT",    "/os-services/disable",               services.disable, body=schemas.SERVICE),
    Route("PUT",    "/os-services/disable-log-reason",    services.disable_with_reason,
          body=schemas.SERVICE_REASON),
    Route("PUT",    "/os-services/freeze",                services.freeze, body=schemas.SERVICE),
    Route("PUT",    "/os-services/thaw",                  services.freeze, body=schemas.SERVICE),
    Route("PUT",    "/os-services/get-log",               services.get_log, V.LOG_LEVELS, body=schemas.LOG),
    Route("GET",    "/os-availability-zone",              services.zones),
    Route("GET",    "/os-hosts",                          services.hosts),
    Route("GET",    "/os-hosts/{host}",                   services.host),
    Route("GET",    "/scheduler-stats/get_pools",         services.pools, query=("detail", "name")),
    Route("GET",    "/capabilities/{host}",               services.capabilities),
    Route("GET",    "/extensions",                        extensions.index),
    Route("GET",    "/resource_filters",                  extensions.resource_filters, V.RESOURCE_FILTERS,
          query=("resource",)),
    *later.ROUTES,
)
# fmt: on
