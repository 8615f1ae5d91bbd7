"""What old clients ask before they show a field: extensions, and which filters there are."""

from moorage.api.request import Answer, Request

# fmt: off
_EXTENSIONS = (
    #  name                          alias                              what it is
    ("VolumeImageMetadata",          "os-vol-image-meta",               "Volumes show the metadata of their image."),
    ("UsedLimits",                   "os-used-limits",                  "Limits say how much is used."),
    ("AdminActions",                 "os-admin-actions",                "Administrators reset and force."),
    ("TypesExtraSpecs",              "os-types-extra-specs",            "Types have extra specs."),
    ("VolumeTypeEncryption",         "encryption",                      "Types say how volumes are encrypted."),
    ("VolumeEncryptionMetadata",     "os-volume-encryption-metadata",   "Volumes say how they are encrypted."),
    ("Quotas",                       "os-quota-sets",                   "Projects have quotas."),
    ("VolumeActions",                "os-volume-actions",               "Volumes have actions."),
    ("QuotaClasses",                 "os-quota-class-sets",             "Default quotas can be changed."),
    ("AvailabilityZones",            "os-availability-zone",            "Availability zones are listed."),
    ("VolumeTypeAccess",             "os-volume-type-access",           "Private types are shown to some projects."),
    ("Services",                     "os-services",                     "Services are listed."),
    ("Hosts",                        "os-hosts",                        "Hosts are listed."),
    ("TypesManage",                  "os-types-manage",                 "Types are made and removed."),
    ("Qos_specs_manage",             "qos-specs",                       "Quality of service."),
    ("VolumeHostAttribute",          "os-vol-host-attr",                "Volumes say where they are kept."),
    ("Scheduler_stats",              "scheduler-stats",                 "Pools are listed."),
    ("VolumeMigStatusAttribute",     "os-vol-mig-status-attr",          "Volumes say whether they are being moved."),
    ("VolumeTenantAttribute",        "os-vol-tenant-attr",              "Volumes say whose they are."),
    ("SchedulerHints",               "OS-SCH-HNT",                      "Hints are taken when a volume is made."),
    ("ExtendedServices",             "os-extended-services",            "Services say why they are switched off."),
    ("Capabilities",                 "capabilities",                    "Backends say what they can do."),
)
# fmt: on
_SINCE = "2026-01-01T00:00:00+00:00"

_FILTERS = (
    (
        "volume",
        "name status metadata bootable migration_status availability_zone group_id size created_at updated_at "
        "consumes_quota",
    ),
    ("backup", "name status volume_id"),
    ("snapshot", "name status volume_id metadata availability_zone consumes_quota"),
    ("group", "name"),
    ("group_snapshot", "name status group_id"),
    ("attachment", "volume_id status instance_id attach_status"),
    ("message", "resource_uuid resource_type event_id request_id message_level"),
    ("pool", "name volume_type"),
    ("volume_type", "is_public extra_specs"),
)


def index(request: Request) -> Answer:
    """The extensions of the API, for clients that look for their names."""
    rows = [
        {"name": name, "alias": alias, "description": said, "updated": _SINCE, "links": []}
        for name, alias, said in _EXTENSIONS
    ]
    return Answer(200, {"extensions": rows})


def resource_filters(request: Request) -> Answer:
    """Which lists can be filtered by what."""
    wanted = request.asked("resource")
    rows = [{"resource": name, "filters": keys.split()} for name, keys in _FILTERS if wanted in (None, name)]
    return Answer(200, {"resource_filters": rows})
