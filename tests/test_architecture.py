"""The layers as drawn in the README, read from the imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import coatcheck

ROOT = Path(coatcheck.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted(ROOT.rglob("*.py"))
}
# Each room may import the rooms that are listed; the first match counts.
ROOMS = {
    "errors": set(),
    "_core": {"errors"},
    "config": {"errors", "_core"},
    "abc": {"errors", "_core"},
    "payloads": {"errors", "_core", "abc"},
    "wrappers": {"errors", "_core", "abc", "payloads"},
    "backends": {"errors", "_core", "config", "abc", "payloads", "wrappers"},
    "stashes": {"errors", "_core", "config", "abc", "payloads", "wrappers"},
    "objects": {
        *("errors", "_core", "config", "abc", "payloads", "wrappers", "backends"),
    },
    "_app": {
        *("errors", "_core", "config", "abc", "payloads", "wrappers"),
        *("backends", "stashes"),
    },
    "_default": {"__init__", "abc"},
    "_portal": {"errors"},
    "_blocking": {"_app", "_portal", "_core", "abc", "config", "stashes"},
    "sync": {
        *("errors", "_core", "config", "abc", "stashes"),
        *("_default", "_blocking", "_portal"),
    },
    "service": {
        *("errors", "_core", "config", "abc", "payloads", "wrappers"),
        *("backends", "objects", "_app"),
    },
    "cli": {
        *("errors", "_core", "config", "abc", "payloads", "wrappers"),
        *("backends", "objects", "service"),
    },
    "__main__": {"cli"},
    "testing": {"errors", "_core", "abc", "payloads", "wrappers"},
    "__init__": {"errors", "_core", "config", "stashes", "_app", "_default"},
}
# What is fenced in: a library, and the modules that may import it.
FENCES = {
    "msgpack": r"payloads\._msgpack",
    "backports": r"payloads\._compression",
    "compression": r"payloads\._compression",
    "pydantic": r"config|payloads\._typed|service\._(config|documents)",
    "pydantic_settings": r"config",
    "aioboto3": r"backends\._s3\._client",
    "aiobotocore": r"backends\._s3\._client",
    "botocore": r"backends\._s3\._(client|errors|redaction)",
    "aiohttp": r"backends\._(s3|https|service)\..*",
    "sqlalchemy": r"catalogues\._sql.*",
    "redis": r"catalogues\._redis",
    "fastapi": r"service\..*|fastapi",
    "starlette": r"service\..*|fastapi",
    "itsdangerous": r"wrappers\._link_tokens|service\._seals",
    "jwt": r"service\._tokens|objects\._auth",
    "cryptography": r"service\._keys|objects\._auth",
    "prometheus_client": r"service\._metrics",
    "python_multipart": r"service\._batch_parts",
    "uvicorn": r"service\._(server|protocol)",
    "typer": r"cli\..*",
    "rich": r"cli\..*",
    "hypothesis": r"testing\..*",
    "pytest": r"testing\..*",
    "asyncio": r"_app|_default|payloads\._waiting|backends\._s3\..*"
    r"|testing\._(cancellation|proxy.*)|service\._protocol",  # the type of a timer
    "fcntl": r"backends\._filesystem\._calls",
}
# A stash's own verbs find the default instance through the front door.
FRONT_DOOR = {"stashes._stash"}
# Rooms, and modules of others, that need an extra, by its name.
EXTRAS = {"service": "service", "cli": "cli", "objects._auth": "service"}
MAX_MODULE = 400
MAX_FUNCTION = 60


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(module: str, *, typing_too: bool = True) -> set[str]:
    """Return the full names that a module imports, relative ones resolved."""
    path = MODULES[module]
    package = (
        module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    )
    package = [part for part in package if part != "__init__"]
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = ["coatcheck", *package]
            base = parts[: len(parts) + 1 - node.level] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            found.add(name)
            if name == "coatcheck":
                found |= {f"coatcheck.{alias.name}" for alias in node.names}
    return found


def room_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module):
    """A module imports its own room and the rooms below, as the table says."""
    mine = room_of(module)
    for name in imports(module):
        if not name.startswith("coatcheck."):
            continue
        other = name.split(".")[1]
        known = other in {room_of(each) for each in MODULES}
        theirs = other if known else "__init__"
        if theirs == "__init__" and module in FRONT_DOOR:
            continue
        assert theirs == mine or theirs in ROOMS[mine], f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_libraries_stay_behind_their_fences(module):
    """Each foreign library is imported where the fence says, and nowhere else."""
    for name in imports(module):
        fence = FENCES.get(name.split(".")[0])
        assert fence is None or re.fullmatch(fence, module), f"{module} imports {name}"


@pytest.mark.parametrize(
    "driver", ["_memory", "_filesystem", "_s3", "_https", "_service"]
)
def test_drivers_know_neither_each_other_nor_wrappers(driver):
    """A driver imports no sibling, and of the wrappers only `scoped`."""
    for module, path in MODULES.items():
        if not module.startswith(f"backends.{driver}."):
            continue
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            name = node.module
            assert not re.match(r"coatcheck\.backends(?!\." + driver + ")", name)
            if name.startswith("coatcheck.wrappers"):
                assert [alias.name for alias in node.names] == ["scoped"]


@pytest.mark.parametrize("module", MODULES)
def test_features_name_no_driver(module):
    """Only the door and the composition root may name a driver's module."""
    if room_of(module) in ("backends", "_app", "testing"):
        return
    drivers = [name for name in imports(module) if ".backends._" in name]
    assert not drivers


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_are_short(module):
    """No module is longer than 400 lines and no function than 60."""
    text = MODULES[module].read_text()
    assert len(text.splitlines()) <= MAX_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(
                first.value, ast.Constant
            )
            begins = node.body[min(documented, len(node.body) - 1)].lineno
            assert node.end_lineno - begins < MAX_FUNCTION, f"{module}.{node.name}"


def test_escapes_are_counted():
    """Ignored rules and untyped values do not grow unseen."""
    text = "\n".join(path.read_text() for path in MODULES.values())
    assert len(re.findall(r"# type: ignore", text)) == 0
    assert len(re.findall(r"# pyright: ignore", text)) == 0
    assert len(re.findall(r"# noqa: BLE001", text)) <= 8
    assert len(re.findall(r"\bAny\b", text)) <= 280


def test_every_module_says_what_it_is():
    """A module begins with a docstring and is not called by what says nothing."""
    for module, path in MODULES.items():
        assert ast.get_docstring(tree_of(path)), module
        assert not re.search(r"(^|[._])(utils?|helpers?|common|base|misc)$", module)


def named(requirements: list[str]) -> set[str]:
    """Return the bare names of what is required."""
    return {
        re.split(r"[^A-Za-z0-9._-]", each, maxsplit=1)[0].lower().replace("_", "-")
        for each in requirements
    }


def test_every_library_is_a_declared_dependency():
    """What is imported is installed with the package, and not by luck."""
    project = tomllib.loads((ROOT.parents[1] / "pyproject.toml").read_text())
    # What a declared library stands on and shows in its own interface.
    declared = {"aiobotocore", "botocore", "pydantic", "starlette"}
    declared |= named(project["project"]["dependencies"])
    extras = project["project"]["optional-dependencies"]
    homes = packages_distributions()
    for module in MODULES:
        room = room_of(module)
        if room == "testing":
            continue
        extra = EXTRAS.get(module, EXTRAS.get(room))
        admitted = declared | named(extras.get(extra, []))
        for name in imports(module):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or top in ("coatcheck", "compression"):
                continue
            found = {
                re.sub(r"[._]", "-", each.lower()) for each in homes.get(top, [top])
            }
            assert found & admitted, f"{module} imports {top}"
