"""A session: one usecase and scope of one client."""

from __future__ import annotations

from ._batch import SessionBatches
from ._links import SessionLinks
from ._multipart import SessionMultipart


class Session(SessionBatches, SessionMultipart, SessionLinks):
    """The objects of one usecase and scope; `client.session(...)` makes one.

    It holds nothing and needs no closing. Many tasks may use it at once.
    """
