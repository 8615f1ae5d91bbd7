"""Who may do what here. What belongs to a project is shown to whoever sees that project's things."""

from moorage.core.caller import Needs, Rule

HOSTS = Rule("moorage:hosts:show", Needs.SERVICE)
DOCTOR = Rule("moorage:doctor", Needs.ADMIN)
HOSTS_REGISTER = Rule("moorage:hosts:register", Needs.ADMIN)
IMAGE_QUOTA_SHOW = Rule("moorage:image-quotas:show", Needs.READER)
IMAGE_QUOTA_UPDATE = Rule("moorage:image-quotas:update", Needs.ADMIN)
