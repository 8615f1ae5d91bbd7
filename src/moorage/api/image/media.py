"""Content types of Image v2."""

JSON = "application/json"
BYTES = "application/octet-stream"
PATCH_2_1 = "application/openstack-images-v2.1-json-patch"
PATCH_2_0 = "application/openstack-images-v2.0-json-patch"
PATCHES = (PATCH_2_0, PATCH_2_1)
