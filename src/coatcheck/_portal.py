"""The one event loop thread behind the blocking API."""

from __future__ import annotations

import atexit
import os
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from coatcheck.errors import UnsupportedOperation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Running:
    pid: int
    thread: int
    portal: BlockingPortal
    lifetime: AbstractContextManager[BlockingPortal]


_lock = threading.Lock()
_running: _Running | None = None


def _portal() -> BlockingPortal:
    """Return the running portal, started on first use and after a fork.

    Raises:
        UnsupportedOperation: This is the portal's own thread, which would wait for
            itself.
    """
    global _running  # noqa: PLW0603  # one per process is the point
    with _lock:
        if _running is None or _running.pid != os.getpid():
            lifetime = start_blocking_portal(backend="asyncio", name="coatcheck-sync")
            portal = lifetime.__enter__()
            thread = portal.call(threading.get_ident)
            if _running is None:
                # Without it the interpreter would wait for the thread for ever.
                atexit.register(_stop)
            _running = _Running(os.getpid(), thread, portal, lifetime)
        running = _running
    if running.thread == threading.get_ident():
        raise UnsupportedOperation(
            "coatcheck.sync was called from its own event loop's thread, for instance"
            " in a progress callback; hand the work to another thread"
        )
    return running.portal


def _stop() -> None:
    global _running  # see above
    running, _running = _running, None
    if running is not None and running.pid == os.getpid():
        running.lifetime.__exit__(None, None, None)


def call(function: Callable[..., Awaitable[_T]], /, *args: Any, **keywords: Any) -> _T:
    """Run an async function to its end, whatever this thread is otherwise doing.

    An exception that reaches this thread meanwhile (KeyboardInterrupt) cancels it.
    """
    future = _portal().start_task_soon(partial(function, *args, **keywords))
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def entered(context: Any) -> AbstractContextManager[Any]:
    """Return an async context manager as one for a with statement."""
    return _portal().wrap_async_context_manager(context)
