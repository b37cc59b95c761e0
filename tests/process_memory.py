"""What Linux tells of a process's memory, in bytes; a pid of `self` is this one.

What `getrusage` tells includes the process that started this one, before exec.
"""

from __future__ import annotations

from pathlib import Path


def held(pid: int | str = "self") -> int:
    """Return what a process has resident now."""
    return _told(pid, "VmRSS")


def most_held(pid: int | str = "self") -> int:
    """Return the most that a process had resident, since `forget_peak` if that was."""
    return _told(pid, "VmHWM")


def forget_peak(pid: int | str = "self") -> None:
    """Let the peak be what the process has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _told(pid: int | str, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"this system does not tell {name}; it takes Linux")
