"""What users may import, and what importing costs."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import coatcheck
from coatcheck import abc, errors, objects, service, sync

HEAVY = {
    *("aioboto3", "botocore", "aiohttp", "sqlalchemy", "redis", "fastapi"),
    *("msgpack", "anyio", "pydantic", "asyncio", "pydantic_settings"),
}


def in_fresh_interpreter(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_importing_loads_nothing():
    """`import coatcheck` loads no driver and no library."""
    loaded = in_fresh_interpreter(
        "import coatcheck, sys; print(*{name.split('.')[0] for name in sys.modules})"
    )
    assert not HEAVY & set(loaded.split())


@pytest.mark.parametrize("name", coatcheck.__all__)
def test_every_name_is_there_by_itself(name):
    """Each name loads in a fresh interpreter, whatever was loaded before."""
    assert in_fresh_interpreter(f"import coatcheck; print(coatcheck.{name})")


@pytest.mark.parametrize("module", [coatcheck, sync, abc, errors, objects, service])
def test_all_is_complete_and_documented(module):
    """`__all__` holds what is there, once, and all of it is documented."""
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        found = getattr(module, name)
        if inspect.isclass(found) or inspect.isfunction(found):
            assert inspect.getdoc(found), name


def test_unknown_names_are_attribute_errors():
    """A typo fails as it does in any module."""
    with pytest.raises(AttributeError, match="no attribute 'retreive'"):
        coatcheck.retreive  # noqa: B018


def test_dir_shows_what_can_be_used():
    """`dir` offers the names before they are loaded."""
    assert set(coatcheck.__all__) <= set(dir(coatcheck))


@pytest.mark.parametrize(
    ("module", "name", "signature"),
    [
        ("coatcheck", "create", "(name, data, namespace, *, expires, config)"),
        ("coatcheck", "retrieve", "(address, *, as_type, config)"),
        ("coatcheck", "share", "(address, *, ttl_sec, config)"),
        ("coatcheck.sync", "create", "(name, data, namespace, *, expires, config)"),
    ],
)
def test_signatures_are_kept(module, name, signature):
    """The promised calls keep their parameters."""
    found = inspect.signature(getattr(importlib.import_module(module), name))
    bare = [
        each.replace(
            annotation=inspect.Parameter.empty, default=inspect.Parameter.empty
        )
        for each in found.parameters.values()
    ]
    assert str(inspect.Signature(bare)) == signature


def test_the_version_is_the_distributions():
    """`__version__` and the installed metadata agree."""
    from importlib.metadata import version

    assert coatcheck.__version__ == version("coatcheck")
