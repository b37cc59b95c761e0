"""What streams, imports and first calls cost."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest

FIRST_CREATE = """
import asyncio, tempfile, time
import coatcheck

class Watch:
    longest = 0.0
    async def run(self):
        last = time.perf_counter()
        while True:
            # Not without a pause: it would take the interpreter from the import.
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            self.longest, last = max(self.longest, now - last), now

async def main(root):
    watch = Watch()
    watching = asyncio.create_task(watch.run())
    await asyncio.sleep(0.05)
    watch.longest = 0.0
    begun = time.perf_counter()
    config = await asyncio.to_thread(make_config, root)
    await coatcheck.create("n", "x" * 200, config=config)
    took = time.perf_counter() - begun
    watching.cancel()
    print(took, watch.longest)

def make_config(root):
    return coatcheck.Config(backends=("file",), filesystem_root=root)

with tempfile.TemporaryDirectory() as root:
    asyncio.run(main(root))
"""


def check_memory(report, *, together):
    """Hold each way to 64 MiB, and what the allocator keeps from way to way too."""
    grown = report["extra MiB"]
    altogether = grown.pop("altogether")
    assert max(grown.values()) <= 64
    assert altogether <= together


@pytest.mark.parametrize("mib", [200, pytest.param(1024, marks=pytest.mark.faults)])
def test_streams_need_constant_memory(programme, mib):
    """In and out, a stream takes at most 64 MiB beside what the library takes."""
    check_memory(programme("memory", "--mib", mib), together=64)


@pytest.mark.parametrize("mib", [100, pytest.param(1024, marks=pytest.mark.faults)])
@pytest.mark.timeout(600)
def test_streams_need_constant_memory_on_s3(programme, seaweed, mib):
    """In parts and out again, a stream takes no more on SeaweedFS."""
    report = programme("memory", "--mib", mib, "--endpoint", seaweed)
    check_memory(report, together=96)


def seconds_of(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun


@pytest.mark.faults
def test_importing_costs_little():
    """`import coatcheck` takes at most 20 ms more than a bare interpreter."""
    bare, ours = [], []
    for _ in range(15):
        bare.append(seconds_of("pass"))
        ours.append(seconds_of("import coatcheck"))
    extra = 1000 * (statistics.median(ours) - statistics.median(bare))
    print(f"\nimport coatcheck: {extra:.1f} ms over a bare interpreter")
    assert extra <= 20


@pytest.mark.faults
def test_the_first_create_is_quick_and_blocks_nobody():
    """At most 350 ms on files, with the loop never blocked for more than 50 ms."""
    took, longest = [], []
    for _ in range(9):
        done = subprocess.run(
            [sys.executable, "-c", FIRST_CREATE],
            capture_output=True,
            text=True,
            check=True,
        )
        each_took, each_longest = map(float, done.stdout.split())
        took.append(1000 * each_took)
        longest.append(1000 * each_longest)
    print(
        f"\nfirst create on files: median {statistics.median(took):.0f} ms,"
        f" most {max(took):.0f} ms; loop blocked at most {max(longest):.0f} ms"
    )
    assert statistics.median(took) <= 350
    assert statistics.median(longest) <= 50
