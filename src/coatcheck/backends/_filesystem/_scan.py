"""Listing a bucket's folders in the order of its keys."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from errno import ENOENT
from typing import TYPE_CHECKING, Final

from coatcheck._core.objects import ObjectInfo, Page
from coatcheck.errors import IntegrityError

from ._disk import bucket_path
from ._errors import FOREIGN
from ._names import FOLDER_MARK, decode_segment, encode_segment, is_hashed

if TYPE_CHECKING:
    from ._objects import ObjectFiles

PAGE_SIZE: Final = 1000
_log = logging.getLogger("coatcheck.filesystem")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Child:
    """A file or folder; `path` is its key, or what its keys begin with."""

    path: str
    name: str
    is_folder: bool


@dataclass(frozen=True, slots=True)
class _Level:
    folder: int
    children: Iterator[_Child]


class BucketScan:
    """One pass over a bucket; used by one thread at a time.

    Args:
        files: The bucket's objects.
        prefix: Only keys that begin with it.
        start_after: Only keys, and common prefixes, after this text.
        folded: Fold what follows the first slash after the prefix.
    """

    def __init__(
        self,
        files: ObjectFiles,
        prefix: str,
        *,
        start_after: str | None,
        folded: bool,
    ) -> None:
        self._files = files
        self._calls = files.disk.calls
        self._prefix = prefix
        self._after = start_after or ""
        self._folded = folded
        self._levels: list[_Level] = []
        self._items = self._walk()

    def next_page(self) -> Page | None:
        """Return the next page, None at the end."""
        entries: list[ObjectInfo] = []
        prefixes: list[str] = []
        for item in self._items:
            if isinstance(item, str):
                prefixes.append(item)
            else:
                entries.append(item)
            if len(entries) + len(prefixes) >= PAGE_SIZE:
                break
        if not entries and not prefixes:
            return None
        return Page(entries=tuple(entries), prefixes=tuple(prefixes))

    def close(self) -> None:
        """Close the folders that are still open."""
        self._items.close()
        while self._levels:
            self._calls.close(self._levels.pop().folder)

    def _walk(self) -> Generator[ObjectInfo | str]:
        """Yield objects, and common prefixes as text, in order."""
        try:
            root = self._files.disk.open_folder(bucket_path(self._files.bucket))
        except FileNotFoundError:
            self._files.disk.check_not_gone()
            return
        self._enter(root, "")
        while self._levels:
            level = self._levels[-1]
            child = next(level.children, None)
            if child is None:
                self._calls.close(self._levels.pop().folder)
            elif not child.is_folder:
                info = self._object(level.folder, child)
                if info is not None:
                    yield info
            elif self._is_folded(child.path):
                if child.path > self._after and self._holds_objects(level, child):
                    yield child.path
            else:
                self._descend(level.folder, child)

    def _enter(self, folder: int, path: str) -> None:
        try:
            children = self._children(folder, path)
        except BaseException:
            self._calls.close(folder)
            raise
        self._levels.append(_Level(folder, iter(children)))

    def _descend(self, folder: int, child: _Child) -> None:
        try:
            below = self._calls.open_folder(folder, child.name)
        except FileNotFoundError:
            return
        self._enter(below, child.path)

    def _children(self, folder: int, path: str) -> list[_Child]:
        """Return what the scan wants of a folder, in the order of keys."""
        children: list[_Child] = []
        for name in self._calls.list_folder(folder):
            child = self._child(folder, path, name)
            if child is not None and self._is_wanted(child):
                children.append(child)
        # A folder's path ends in a slash, which is how its keys compare with others.
        children.sort(key=lambda child: child.path)
        return children

    def _child(self, folder: int, path: str, name: str) -> _Child | None:
        is_folder = name.endswith(FOLDER_MARK)
        bare = name.removesuffix(FOLDER_MARK)
        segment = decode_segment(bare)
        if segment is None and is_hashed(bare):
            segment = self._hashed_segment(folder, name, path.count("/"))
        if segment is None:
            _log.warning("%r in a folder of %r is not coatcheck's", name, path)
            return None
        slash = "/" if is_folder else ""
        return _Child(path=f"{path}{segment}{slash}", name=name, is_folder=is_folder)

    def _is_wanted(self, child: _Child) -> bool:
        path = child.path
        if not child.is_folder:
            return path.startswith(self._prefix) and path > self._after
        if not (path.startswith(self._prefix) or self._prefix.startswith(path)):
            return False
        # All keys of a folder come before a text that is past it and not inside.
        return path >= self._after or self._after.startswith(path)

    def _is_folded(self, path: str) -> bool:
        return (
            self._folded
            and len(path) > len(self._prefix)
            and path.startswith(self._prefix)
        )

    def _object(self, folder: int, child: _Child) -> ObjectInfo | None:
        """Return an object's info, None when it vanished or is damaged."""
        try:
            descriptor = self._calls.open_file(folder, child.name)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in FOREIGN:
                raise
            _log.warning("%r is not listed: %s", child.path, error.strerror)
            return None
        try:
            return self._files.read(descriptor, child.path, with_body=False).info
        except IntegrityError as error:
            _log.warning("%r is not listed: %s", child.path, error)
            return None
        finally:
            self._calls.close(descriptor)

    def _holds_objects(self, level: _Level, child: _Child) -> bool:
        return self._any_key(level.folder, child.name) is not None

    def _hashed_segment(self, folder: int, name: str, depth: int) -> str | None:
        """Return the segment behind a hashed name, which stands in a record below."""
        key = self._any_key(folder, name)
        if key is None:
            return None
        segments = key.split("/")
        if depth >= len(segments):
            return None
        segment, bare = segments[depth], name.removesuffix(FOLDER_MARK)
        # A file that was moved behind another digest belongs to no key.
        return segment if encode_segment(segment) == bare else None

    def _any_key(self, folder: int, name: str) -> str | None:
        """Return the key of some object at or below a name, None when none is."""
        try:
            if not name.endswith(FOLDER_MARK):
                return self._record_key(self._calls.open_file(folder, name))
            below = self._calls.open_folder(folder, name)
        except OSError as error:
            if error.errno not in FOREIGN | {ENOENT}:
                raise
            return None
        try:
            for inner in self._calls.list_folder(below):
                key = self._any_key(below, inner)
                if key is not None:
                    return key
        finally:
            self._calls.close(below)
        return None

    def _record_key(self, descriptor: int) -> str | None:
        try:
            return self._files.read(descriptor, None, with_body=False).record.key
        except IntegrityError:
            return None
        finally:
            self._calls.close(descriptor)
