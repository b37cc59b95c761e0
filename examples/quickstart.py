"""Stash real files in one process and claim them in another.

    python examples/quickstart.py [FOLDER]

Process A stashes every file of the folder (by default the sources of Python's own
standard library), one row about each, and a 64 MiB binary, and passes nothing but
addresses on. Process B claims everything, verifies it, and then meets a stash that
has expired and one that somebody tampered with.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import coatcheck
from coatcheck import Coatcheck, Config, TimeToLive
from coatcheck.errors import CoatcheckError, InvalidName

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

MIB = 1024 * 1024
BINARY_MIB = 64
BATCH = 200
LEFT_OUT = {"__pycache__", ".git", "site-packages"}
BAR_WIDTH = 32


def on_files(root: Path) -> Config:
    """Return a configuration that keeps stashes as files under a folder."""
    return Config(backends=("inline", "file"), filesystem_root=str(root))


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Draw a bar on a terminal, and what was done at its end anywhere."""
    done, begun = 0, time.perf_counter()

    def update(count: int) -> None:
        nonlocal done
        done += count
        if sys.stdout.isatty():
            filled = BAR_WIDTH * done // max(total, 1)
            bar = "#" * filled + "-" * (BAR_WIDTH - filled)
            print(f"\r  {title:<22} [{bar}] {100 * done // max(total, 1):3}%", end="")

    yield update
    seconds = time.perf_counter() - begun
    print(
        f"\r  {title:<22} {done / MIB:7.1f} MiB in {seconds:5.1f} s,"
        f" {done / MIB / seconds:6.1f} MiB/s" + " " * 8,
        flush=True,
    )


def batches(paths: list[Path]) -> Iterator[list[Path]]:
    """Cut a list into pieces."""
    for start in range(0, len(paths), BATCH):
        yield paths[start : start + BATCH]


def files_of(folder: Path) -> list[Path]:
    """Return the files below a folder that somebody wrote."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not LEFT_OUT & {*path.relative_to(folder).parts}
    ]


async def stash_all(folder: Path, root: Path) -> dict[str, Any]:
    """Stash everything and return the addresses."""
    paths = files_of(folder)
    async with Coatcheck(on_files(root)) as cc:
        sources, rows = await stash_files(cc, folder, paths)
        table = await cc.create("files", rows, namespace="tables")
        note = await cc.create("note", {"files": len(rows)}, namespace="tables")
        print(f"  {len(rows)} rows about them: {table.address}")
        print(f"  a note so small that it is its own address: {note.address}")

        with progress_bar(f"{BINARY_MIB} MiB binary", BINARY_MIB * MIB) as update:
            binary = await cc.create_stream(
                "binary.dat", pseudo_random(), namespace="media", progress=update
            )
        brief = await cc.create(
            "brief", "soon gone", expires=TimeToLive(timedelta(seconds=1))
        )
        tampered = await cc.create("tampered", "x" * 1000)
    return {
        "sources": [str(address) for address in sources],
        "table": str(table.address),
        "note": str(note.address),
        "binary": str(binary.address),
        "brief": str(brief.address),
        "tampered": str(tampered.address),
    }


async def stash_files(
    cc: Coatcheck, folder: Path, paths: list[Path]
) -> tuple[list[coatcheck.Address], list[dict[str, Any]]]:
    """Stash files by their relative paths; return addresses and rows about them."""
    addresses: list[coatcheck.Address] = []
    rows: list[dict[str, Any]] = []
    total = sum(path.stat().st_size for path in paths)
    with progress_bar(f"{len(paths)} files", total) as update:
        for batch in batches(paths):
            read = [(path, path.read_bytes()) for path in batch]
            items = [(path.relative_to(folder).as_posix(), body) for path, body in read]
            try:
                stashes = await cc.create_many(items, namespace="sources")
            except InvalidName as error:
                raise SystemExit(
                    f"a file's name cannot be an address: {error}"
                ) from None
            for stash, (name, body) in zip(stashes, items, strict=True):
                addresses.append(stash.address)
                sha256 = hashlib.sha256(body).hexdigest()
                rows.append({"name": name, "size": len(body), "sha256": sha256})
            update(sum(len(body) for _, body in items))
    print(f"  the first of them: {addresses[0] if addresses else 'none'}")
    return addresses, rows


async def pseudo_random() -> AsyncIterator[bytes]:
    """Yield a binary that does not repeat itself, MiB by MiB."""
    for number in range(BINARY_MIB):
        yield hashlib.shake_256(number.to_bytes(2)).digest(MIB)


async def claim_all(wanted: dict[str, Any], root: Path) -> None:
    """Claim everything, with nothing but the addresses."""
    async with Coatcheck(on_files(root)) as cc:
        table = await cc.retrieve(wanted["table"])
        note = await cc.retrieve(wanted["note"])
        rows = table.data
        assert note.data == {"files": len(rows)}
        await claim_files(cc, wanted["sources"], rows)
        with progress_bar(f"{BINARY_MIB} MiB binary", BINARY_MIB * MIB) as update:
            async with cc.open(wanted["binary"]) as reader:
                async for chunk in reader:
                    update(len(chunk))
        print(f"  the binary was verified by {reader.verified}")
        await asyncio.sleep(1)
        for what in ("brief", "tampered"):
            try:
                await cc.retrieve(wanted[what])
            except CoatcheckError as error:
                print(f"  {what}: {type(error).__name__}: {error}")
            else:
                raise SystemExit(f"{what} was served")


async def claim_files(
    cc: Coatcheck, addresses: list[str], rows: list[dict[str, Any]]
) -> None:
    """Claim all files and compare them with their rows."""
    begun, total = time.perf_counter(), sum(row["size"] for row in rows)
    with progress_bar(f"{len(rows)} files", total) as update:
        for start in range(0, len(addresses), BATCH):
            stashes = await cc.retrieve_many(addresses[start : start + BATCH])
            for stash, row in zip(stashes, rows[start : start + BATCH], strict=True):
                assert hashlib.sha256(stash.data).hexdigest() == row["sha256"]
                update(row["size"])
    rate = len(rows) / (time.perf_counter() - begun)
    print(f"  {len(rows)} claimed and verified, {rate:.0f} a second")


def tamper(root: Path) -> None:
    """Flip one bit of a stored stash behind coatcheck's back."""
    (path,) = (root / "default").glob("tampered*")
    body = bytearray(path.read_bytes())
    body[500] ^= 1
    path.write_bytes(body)


def run_process(role: str, *arguments: Path) -> None:
    """Run this file again as process A or B."""
    print(f"process {role}", flush=True)
    subprocess.run([sys.executable, __file__, "--be", role, *arguments], check=True)


def show(folder: Path) -> None:
    """Run both processes, and tamper with a stash in between."""
    with tempfile.TemporaryDirectory(prefix="coatcheck-demo-") as work:
        root, tickets = Path(work, "stashes"), Path(work, "tickets.json")
        run_process("A", folder, root, tickets)
        tamper(root)
        run_process("B", root, tickets)


def main(arguments: list[str]) -> None:
    """Run both processes, or be one of them."""
    match arguments:
        case ["--be", "A", folder, root, tickets]:
            addresses = asyncio.run(stash_all(Path(folder), Path(root)))
            Path(tickets).write_text(json.dumps(addresses))
        case ["--be", "B", root, tickets]:
            asyncio.run(claim_all(json.loads(Path(tickets).read_text()), Path(root)))
        case []:
            show(Path(sysconfig.get_paths()["stdlib"]))
        case [folder] if Path(folder).is_dir():
            show(Path(folder))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
