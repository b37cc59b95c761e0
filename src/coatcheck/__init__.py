"""Hand a payload over, get an address, claim it back anywhere.

    import coatcheck

    stash = await coatcheck.create("report", {"rows": [1, 2, 3]}, namespace="jobs")
    loaded = await coatcheck.retrieve(str(stash.address))

Names are loaded when they are first used, so importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module

# As in typing, whose import would cost more than all the rest of this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from coatcheck import errors as errors
    from coatcheck._app import Coatcheck
    from coatcheck._core.address import Address
    from coatcheck._core.expiry import TimeToIdle, TimeToLive
    from coatcheck._core.ranges import ByteOffset, ByteSpan, ByteSuffix
    from coatcheck._default import (
        check,
        create,
        create_many,
        create_stream,
        delete,
        download,
        exists,
        open,  # noqa: A004  # the facade's word
        reap,
        retrieve,
        retrieve_many,
        scan,
        share,
        touch,
    )
    from coatcheck.config import Config, S3Config
    from coatcheck.stashes import ReapReport, Stash, StashEntry

__all__ = (
    "Address",
    "ByteOffset",
    "ByteSpan",
    "ByteSuffix",
    "Coatcheck",
    "Config",
    "ReapReport",
    "S3Config",
    "Stash",
    "StashEntry",
    "TimeToIdle",
    "TimeToLive",
    "check",
    "create",
    "create_many",
    "create_stream",
    "delete",
    "download",
    "errors",
    "exists",
    "open",
    "reap",
    "retrieve",
    "retrieve_many",
    "scan",
    "share",
    "touch",
)

__version__ = "0.1.0"

_HOMES = {
    "Address": "_core.address",
    "ByteOffset": "_core.ranges",
    "ByteSpan": "_core.ranges",
    "ByteSuffix": "_core.ranges",
    "Coatcheck": "_app",
    "Config": "config",
    "ReapReport": "stashes",
    "S3Config": "config",
    "Stash": "stashes",
    "StashEntry": "stashes",
    "TimeToIdle": "_core.expiry",
    "TimeToLive": "_core.expiry",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'coatcheck' has no attribute {name!r}")
    if name == "errors":
        return import_module("coatcheck.errors")
    found = getattr(import_module(f"coatcheck.{_HOMES.get(name, '_default')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
