"""The one event loop thread behind the blocking API."""

from __future__ import annotations

import atexit
import os
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from coatcheck.errors import UnsupportedOperation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Running:
    pid: int
    thread: threading.Thread
    portal: BlockingPortal


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
            if _running is None:
                # Without it what is open would not be closed at the end.
                atexit.register(_stop)
            _running = _start()
        running = _running
    if running.thread is threading.current_thread():
        raise UnsupportedOperation(
            "coatcheck.sync was called from its own event loop's thread, for instance"
            " in a progress callback; hand the work to another thread"
        )
    return running.portal


def _start() -> _Running:
    # anyio's start_blocking_portal would hold a generator, whose end in a forked
    # child waits for a thread that is not there.
    ready: Future[BlockingPortal] = Future()

    async def serve() -> None:
        async with BlockingPortal() as portal:
            ready.set_result(portal)
            await portal.sleep_until_stopped()

    thread = threading.Thread(
        target=lambda: anyio.run(serve), name="coatcheck-sync", daemon=True
    )
    thread.start()
    return _Running(os.getpid(), thread, ready.result())


def _stop() -> None:
    global _running  # see above
    running, _running = _running, None
    if running is not None and running.pid == os.getpid():
        running.portal.call(running.portal.stop)
        running.thread.join()


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
