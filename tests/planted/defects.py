"""All that is planted, room by room."""

from __future__ import annotations

from tests.planted.groups.files import ON_FILES
from tests.planted.groups.links import ON_LINKS, ON_OWN_LINKS
from tests.planted.groups.objects import ON_SERVICE, ON_SESSIONS
from tests.planted.groups.payloads import ON_PAYLOADS
from tests.planted.groups.s3 import ON_S3, ON_WIRE
from tests.planted.groups.stashes import ON_EXPIRY, ON_STASHES, ON_TRAFFIC

DEFECTS = (
    *ON_FILES,
    *ON_S3,
    *ON_WIRE,
    *ON_LINKS,
    *ON_PAYLOADS,
    *ON_EXPIRY,
    *ON_STASHES,
    *ON_OWN_LINKS,
    *ON_SESSIONS,
    *ON_TRAFFIC,
    *ON_SERVICE,
)
