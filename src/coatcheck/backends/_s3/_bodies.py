"""Bodies on their way out."""

from __future__ import annotations

import io


class SharedBytes(io.BytesIO):
    """A body that is asked for its length without being copied for it."""

    def __init__(self, whole: bytes) -> None:
        super().__init__(whole)
        self._whole = whole

    def getbuffer(self) -> memoryview:
        # That of BytesIO admits writing, so it makes a copy: of each part in flight.
        return memoryview(self._whole)
