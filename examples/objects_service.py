"""Keep attachments behind a service, and hand out links to them.

python examples/objects_service.py [FOLDER]

Starts `coatcheck serve` on the folder, by default on a temporary one, and uses it
as any HTTP client would, with tokens that open one tenant's scope alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

READY = "coatcheck serves at "


def token_for(key: Ed25519PrivateKey, org: str, *permissions: str) -> str:
    """Return a token for the attachments of one organisation."""
    claims = {
        "res": {"os:usecase": "attachments", "org": org},
        "permissions": permissions,
        "exp": int(time.time()) + 60,
    }
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": "example"})


@contextmanager
def service(folder: Path, key: Ed25519PrivateKey) -> Iterator[str]:
    """Run the service until the block ends; give its URL."""
    public = key.public_key()
    pem = folder / "example.pem"
    pem.write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    command = [
        *(sys.executable, "-m", "coatcheck", "serve"),
        *("--port", "0", "--storage", f"file:{folder / 'objects'}"),
        *("--auth-key", f"example={pem}"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("the service has no output")
        line = process.stdout.readline()
        if not line.startswith(READY):
            raise SystemExit("the service did not start")
        try:
            yield line.removeprefix(READY).strip()
        finally:
            process.terminate()


def ask(
    method: str, url: str, token: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    """Return the status and body of an answer."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    request = urllib.request.Request(  # noqa: S310  # the service's own URL
        url, body, {"x-os-auth": f"Bearer {token}", **named}, method=method
    )
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def use(url: str, key: Ed25519PrivateKey) -> None:
    """Put, read, and be refused."""
    objects = f"{url}/v1/objects/attachments/org=42"
    token = token_for(key, "42", "object.read", "object.write")
    status, answer = ask(
        *("PUT", f"{objects}/reports/may.txt", token, b"all is well"),
        content_type="text/plain",
        x_sn_expiration="tti:30d",
        x_sn_filename="may.txt",
        x_snme_author="alice",
    )
    print("put:", status, answer.decode())
    status, answer = ask("GET", f"{objects}/reports/may.txt", token)
    print("get:", status, answer.decode())
    status, answer = ask("GET", f"{objects}/reports/may.txt", token, range="bytes=0-2")
    print("range:", status, answer.decode())

    other = token_for(key, "43", "object.read")
    status, answer = ask("GET", f"{objects}/reports/may.txt", other)
    print("another organisation:", status, answer.decode())
    status, answer = ask("DELETE", f"{objects}/reports/may.txt", token)
    print("without the permission:", status, answer.decode())

    link = f"{objects}/reports/may.txt?os_auth={token_for(key, '42', 'object.read')}"
    with urllib.request.urlopen(link) as shared:  # noqa: S310
        print("by link:", shared.read().decode())
        print("as:", shared.headers["content-disposition"])


def main() -> None:
    """Run the service on a folder and use it."""
    key = Ed25519PrivateKey.generate()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        with service(folder, key) as url:
            use(url, key)


if __name__ == "__main__":
    main()
