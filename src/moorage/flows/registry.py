"""The visible list of all flows."""

from moorage.flows.attachments.publish_attachment import PUBLISH_ATTACHMENT
from moorage.flows.attachments.queue_attachment import QUEUE_ATTACHMENT
from moorage.flows.attachments.withdraw_attachment import WITHDRAW_ATTACHMENT
from moorage.flows.images.clear import CLEAR_OBJECT
from moorage.flows.images.delete import DELETE_IMAGE
from moorage.flows.images.incoming.copying import COPY_IMAGE
from moorage.flows.images.incoming.importing import IMPORT_IMAGE
from moorage.flows.images.incoming.stage import STAGE_IMAGE
from moorage.flows.images.incoming.upload import UPLOAD_IMAGE
from moorage.flows.images.locations.delete_location import DELETE_LOCATION
from moorage.flows.images.locations.hash_image import HASH_IMAGE
from moorage.flows.images.locations.locate import IMPORT_LOCATION
from moorage.flows.images.of_volumes.clone_volume import IMAGE_FROM_VOLUME_CLONE
from moorage.flows.images.of_volumes.copy_volume import COPY_VOLUME_TO_IMAGE
from moorage.flows.images.of_volumes.from_volume import IMAGE_FROM_VOLUME
from moorage.flows.reconciliation.examine_host import EXAMINE_HOST
from moorage.flows.volumes.convert_image import VOLUME_FROM_CONVERSION
from moorage.flows.volumes.create_volume import CREATE_VOLUME
from moorage.flows.volumes.delete_volume import DELETE_VOLUME
from moorage.flows.volumes.extend_volume import EXTEND_VOLUME
from moorage.flows.volumes.hydrate_copy import HYDRATE_COPY
from moorage.flows.volumes.mend_volume import MEND_VOLUME
from moorage.flows.volumes.volume_from_copy import VOLUME_FROM_COPY, VOLUME_FROM_DOWNLOAD
from moorage.flows.volumes.volume_from_image import VOLUME_FROM_IMAGE
from moorage.flows.volumes.volume_from_image_volume import VOLUME_FROM_IMAGE_VOLUME
from moorage.flows.volumes.volume_from_volume import FREEZE_VOLUME, VOLUME_FROM_VOLUME
from moorage.operations.flow import Flows

FLOWS = Flows.of(
    (
        CLEAR_OBJECT,
        COPY_IMAGE,
        COPY_VOLUME_TO_IMAGE,
        CREATE_VOLUME,
        DELETE_IMAGE,
        DELETE_LOCATION,
        DELETE_VOLUME,
        EXAMINE_HOST,
        EXTEND_VOLUME,
        FREEZE_VOLUME,
        HYDRATE_COPY,
        IMPORT_IMAGE,
        IMPORT_LOCATION,
        HASH_IMAGE,
        IMAGE_FROM_VOLUME,
        IMAGE_FROM_VOLUME_CLONE,
        MEND_VOLUME,
        PUBLISH_ATTACHMENT,
        QUEUE_ATTACHMENT,
        STAGE_IMAGE,
        UPLOAD_IMAGE,
        VOLUME_FROM_CONVERSION,
        VOLUME_FROM_COPY,
        VOLUME_FROM_DOWNLOAD,
        VOLUME_FROM_IMAGE,
        VOLUME_FROM_IMAGE_VOLUME,
        VOLUME_FROM_VOLUME,
        WITHDRAW_ATTACHMENT,
    )
)
