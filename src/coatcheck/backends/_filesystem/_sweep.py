"""Removing what killed processes left in one bucket."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from coatcheck._core.writes import Swept

from ._disk import bucket_path, drafts_path
from ._names import FOLDER_MARK

if TYPE_CHECKING:
    from ._objects import ObjectFiles
    from ._uploads import Uploads


def sweep_bucket(files: ObjectFiles, uploads: Uploads, before: int) -> Swept:
    """Remove litter that was begun before a time in microseconds since 1970.

    Folders are removed only while they are empty, whatever their age: who is about
    to write into one makes it again.
    """
    stale = uploads.begun_before(before)
    for upload_id in stale:
        uploads.remove(upload_id)
    return Swept(
        files=_sweep_drafts(files, before),
        uploads=len(stale),
        folders=_sweep_folders(files),
    )


def begun_at(name: str) -> int | None:
    """Return when the draft or upload of this name was begun, in microseconds."""
    begun, separator, _ = name.partition("-")
    try:
        return int(begun, 16) if separator else None
    except ValueError:
        return None


def _sweep_drafts(files: ObjectFiles, before: int) -> int:
    calls, removed = files.disk.calls, 0
    try:
        drafts = files.disk.open_folder(drafts_path(files.bucket))
    except FileNotFoundError:
        return 0
    try:
        for name in calls.list_folder(drafts):
            begun = begun_at(name)
            if begun is not None and begun <= before:
                # What somebody else put there under such a name is left alone.
                with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                    calls.unlink(drafts, name)
                    removed += 1
    finally:
        calls.close(drafts)
    return removed


def _sweep_folders(files: ObjectFiles) -> int:
    try:
        root = files.disk.open_folder(bucket_path(files.bucket))
    except FileNotFoundError:
        return 0
    try:
        return _remove_empty(files, root)
    finally:
        files.disk.calls.close(root)


def _remove_empty(files: ObjectFiles, folder: int) -> int:
    """Remove the empty folders below one, the innermost first."""
    calls, removed = files.disk.calls, 0
    for name in calls.list_folder(folder):
        if not name.endswith(FOLDER_MARK):
            continue
        try:
            below = calls.open_folder(folder, name)
        except OSError:
            continue
        try:
            removed += _remove_empty(files, below)
        finally:
            calls.close(below)
        # Fails while there is anything in it, which is the check.
        with suppress(OSError):
            calls.remove_folder(folder, name)
            removed += 1
    return removed
