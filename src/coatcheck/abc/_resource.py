"""The lifetime that everything holding a resource shares."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING

from coatcheck.errors import Closed

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class _State(Enum):
    NEW = "not open yet; enter it with 'async with'"
    OPEN = "open"
    CLOSED = "closed"


class AsyncResource(ABC):
    """An async context manager that is entered once and closed once.

    A resource goes from new to open to closed and never back. It belongs to the
    process that opened it: after a fork the child must open its own.

    Subclasses write `_open` and `_close` and call `_check_open` first in every
    method that needs the resource.
    """

    _state = _State.NEW
    _pid = 0

    async def __aenter__(self) -> Self:
        """Open the resource.

        Raises:
            Closed: It is open or was closed before.
        """
        if self._state is not _State.NEW:
            raise Closed(
                f"{self._title()} cannot be entered again, it is"
                f" {'already open' if self._state is _State.OPEN else 'closed'};"
                " make a new one"
            )
        self._pid = os.getpid()
        await self._open()
        self._state = _State.OPEN
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the resource; closing again, or before opening, does nothing.

        What is in use is released even when the close is cancelled. Calls that are
        still running end with their result or with Closed.
        """
        was_open = self._state is _State.OPEN and self._pid == os.getpid()
        self._state = _State.CLOSED
        if was_open:
            await self._close()

    @property
    def is_open(self) -> bool:
        """Whether the resource can be used here and now."""
        return self._state is _State.OPEN and self._pid == os.getpid()

    def _check_open(self) -> None:
        if self._state is not _State.OPEN:
            raise Closed(f"{self._title()} is {self._state.value}")
        if self._pid != os.getpid():
            raise Closed(
                f"{self._title()} was opened in process {self._pid} and this is"
                f" process {os.getpid()}; open a new one after a fork"
            )

    def _title(self) -> str:
        return type(self).__name__

    @abstractmethod
    async def _open(self) -> None:
        """Acquire what the resource holds; on failure nothing stays acquired."""

    @abstractmethod
    async def _close(self) -> None:
        """Release what the resource holds; called at most once."""
