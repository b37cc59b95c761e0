"""The same claim check without `await`: for scripts, notebooks and threads.

    python examples/script.py [FOLDER]

Without a folder the stashes are kept in a temporary one.
"""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

from coatcheck import sync as coatcheck
from coatcheck.errors import PayloadError, StashNotFound


def main(folder: str) -> None:
    """Stash, claim, list, download and delete, from this thread and from others."""
    config = coatcheck.Config(backends=("inline", "file"), filesystem_root=folder)

    # Functions at module level share one Coatcheck per configuration.
    stash = coatcheck.create("greeting", {"hello": "w" * 200}, config=config)
    print(stash.address)
    assert coatcheck.retrieve(str(stash.address), config=config) == stash

    with coatcheck.Coatcheck(config) as coats:
        with ThreadPoolExecutor(4) as threads:
            days = [
                (f"day-{number}", [number] * 500, "diary") for number in range(1, 8)
            ]
            list(threads.map(lambda day: coats.create(*day), days))
        for entry in coats.scan("diary", prefix="day-"):
            print(f"{entry.address}: {entry.size} bytes")

        stream = coats.create_stream(
            "this script", Path(__file__), "media", content_type="text/x-python"
        )
        copy = Path(folder, "copy.py")
        coats.download(stream.address, copy)
        assert copy.read_bytes() == Path(__file__).read_bytes()
        with coats.open(stream.address) as reader:
            print(f"{len(reader.read())} bytes, verified by {reader.verified}")

        idle = coatcheck.TimeToIdle(timedelta(hours=1))
        kept = coats.create("kept while it is used", "x" * 200, expires=idle)
        print(f"kept at least until {kept.deadline}")
        coats.touch(kept.address)

        kept.delete()
        for claim in (
            lambda: coats.retrieve(kept.address),
            lambda: coats.create("today", {"date": date.today()}),  # noqa: DTZ011
        ):
            try:
                claim()
            except (StashNotFound, PayloadError) as error:
                print(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory(prefix="coatcheck-script-") as work:
            main(work)
