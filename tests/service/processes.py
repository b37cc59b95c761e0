"""`coatcheck serve` as a process of its own."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

if TYPE_CHECKING:
    from pathlib import Path

SECONDS_TO_START = 40
READY = "coatcheck serves at "


@dataclass(frozen=True)
class KeyPair:
    """An Ed25519 key and the name under which the service knows it."""

    kid: str = "main"
    private: Ed25519PrivateKey = field(
        default_factory=Ed25519PrivateKey.generate, repr=False
    )

    @property
    def private_pem(self) -> str:
        return self.private.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()

    @property
    def public_pem(self) -> str:
        public = self.private.public_key()
        return public.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def options(self, folder: Path) -> tuple[str, str]:
        """Return the options that make the key known, with its file in a folder."""
        path = folder / f"{self.kid}.pem"
        path.write_text(self.public_pem)
        return "--auth-key", f"{self.kid}={path}"


@dataclass(frozen=True)
class Served:
    """A running service."""

    url: str
    process: subprocess.Popen[str]

    def end(self, seconds: float = 20) -> int:
        """End it gently; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextmanager
def served(folder: Path, *options: str, **environ: str):
    """Run the service on a free port until the block ends.

    Args:
        folder: Where its log goes.
        options: Further options of the command.
        environ: Further environment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "serve.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "coatcheck"),
                *("serve", "--port", "0", *options),
            ],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder,
            env={**os.environ, **environ},
        )
    try:
        yield Served(_url(process, log), process)
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def _url(process: subprocess.Popen[str], log: Path) -> str:
    """Return the URL that the service prints when it is ready."""
    give_up = time.monotonic() + SECONDS_TO_START
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not selector.select(0.5):
            alive = process.poll() is None and time.monotonic() < give_up
            assert alive, f"the service did not start: {log.read_text()[-2000:]}"
    line = process.stdout.readline()
    assert line.startswith(READY), f"{line!r}: {log.read_text()[-2000:]}"
    return line.removeprefix(READY).strip()
