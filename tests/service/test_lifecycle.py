"""The process: its start, its one line, its restarts, and its end."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from urllib.parse import urlsplit

import pytest
from tests.service.processes import KeyPair, served

BASE = "/v1/objects/attachments/org=42"
PLACE = "attachments/org=42"
MIB = 1024 * 1024


def connect(url):
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)


def ask(url, method, path, body=None, **headers):
    """Return status, headers and body."""
    connection = connect(url)
    try:
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        connection.request(method, path, body, given)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def run(*options):
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "coatcheck", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def storage(tmp_path):
    return ("--storage", f"file:{tmp_path / 'root'}", "--no-auth")


def test_it_does_not_start_without_keys():
    """A service that asks nobody who they are is started on purpose only."""
    done = run("serve", "--port", "0")
    assert done.returncode == 2
    assert "--no-auth" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--auth-key", "main"), "KID=PEM"),
        (("--auth-key", "main=/nowhere.pem"), "/nowhere.pem"),
        (("--no-auth", "--storage", "ftp://x"), "storage"),
        (("--no-auth", "--config", "/nowhere.toml"), "/nowhere.toml"),
        (("--no-auth", "--port", "99999"), "--port"),
    ],
)
def test_it_does_not_start_with_nonsense(options, named):
    """What cannot be used is named, in one line and without a traceback."""
    done = run("serve", "--port", "0", *options)
    assert done.returncode == 2
    assert named in done.stderr.replace("\n", "")
    assert "Traceback" not in done.stderr


def test_it_says_where_it_serves(tmp_path):
    """One line, with a URL that answers, for other addresses too."""
    for host, shown in (("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")):
        if host == "::1" and not socket.has_ipv6:
            continue
        with served(tmp_path, "--no-auth", "--host", host) as service:
            assert service.url.startswith(f"http://{shown}:")
            with urllib.request.urlopen(f"{service.url}/health") as answer:
                assert answer.read() == b"OK"
            assert service.end() == 0
            assert service.process.stdout.read() == ""


def test_keys_and_a_config_file(tmp_path):
    """Keys come from files, policies from TOML."""
    key = KeyPair()
    config = tmp_path / "serve.toml"
    config.write_text("[usecases.attachments.ttl]\nallowed = false\n")
    with served(tmp_path, *key.options(tmp_path), "--config", str(config)) as service:
        assert ask(service.url, "GET", f"{BASE}/k")[0] == 401
        assert ask(service.url, "GET", "/health")[0] == 200


def test_objects_outlive_the_process(tmp_path, storage):
    """What was acknowledged is there after a gentle end and after none."""
    for end in ("gentle", "kill"):
        with served(tmp_path, *storage) as service:
            status, _, _ = ask(service.url, "PUT", f"{BASE}/{end}", b"x" * MIB)
            assert status == 200
            if end == "gentle":
                assert service.end() == 0
    with served(tmp_path, *storage) as service:
        for end in ("gentle", "kill"):
            assert ask(service.url, "GET", f"{BASE}/{end}")[2] == b"x" * MIB


def test_uploads_outlive_the_process(tmp_path, storage):
    """Multipart ids and sessions are good for another process on the storage."""
    with served(tmp_path, *storage) as service:
        answer = ask(service.url, "PUT", f"/v1/objects:multipart/{PLACE}/m")[2]
        upload = json.loads(answer)["upload_id"]
        path = f"/v1/objects:multipart:parts/{PLACE}/m?upload_id={upload}&part_number=1"
        etag = json.loads(ask(service.url, "PUT", path, b"part")[2])["etag"]
        answer = ask(
            service.url,
            "PUT",
            f"{BASE}/r?upload_type=resumable",
            upload_length=str(5 * MIB),
        )[2]
        session = json.loads(answer)["session"]
    with served(tmp_path, *storage) as service:
        document = json.dumps({"parts": [{"part_number": 1, "etag": etag}]})
        path = f"/v1/objects:multipart:complete/{PLACE}/m?upload_id={upload}"
        answer = ask(
            service.url, "POST", path, document, content_type="application/json"
        )
        assert json.loads(answer[2]) == {"key": "m"}
        path = f"{BASE}/r?session={session}"
        status, headers, _ = ask(service.url, "PUT", path, upload_offset="*")
        assert (status, headers["upload-offset"]) == (204, "0")
        body = b"x" * 5 * MIB
        assert ask(service.url, "PUT", path, body, upload_offset="0")[0] == 201
        assert ask(service.url, "GET", f"{BASE}/r")[2] == body


class SlowPut(threading.Thread):
    """A put whose body comes in two halves."""

    def __init__(self, url, key="slow"):
        super().__init__()
        self.connection = connect(url)
        self.connection.putrequest("PUT", f"{BASE}/{key}")
        self.connection.putheader("content-length", str(2 * MIB))
        self.connection.endheaders()
        self.connection.send(b"x" * MIB)
        self.go_on = threading.Event()
        self.status = None

    def run(self):
        self.go_on.wait(60)
        self.connection.send(b"x" * MIB)
        self.status = self.connection.getresponse().status
        self.connection.close()


def test_a_signal_lets_requests_end(tmp_path, storage):
    """At SIGTERM nothing new is admitted, what runs is finished, and then it ends."""
    with served(tmp_path, *storage) as service:
        slow = SlowPut(service.url)
        slow.start()
        time.sleep(0.3)
        service.process.send_signal(signal.SIGTERM)
        give_up = time.monotonic() + 20
        while ask(service.url, "GET", "/ready")[0] != 503:
            assert time.monotonic() < give_up
        time.sleep(0.5)  # longer than it takes to look for the end
        status, headers, body = ask(service.url, "PUT", f"{BASE}/new", b"x")
        assert status == 503
        assert headers["retry-after"] == "1"
        assert "end" in json.loads(body)["detail"]
        assert ask(service.url, "GET", "/health")[0] == 200
        assert service.process.poll() is None
        slow.go_on.set()
        slow.join(30)
        assert slow.status == 200
        assert service.process.wait(20) == 0
    with served(tmp_path, *storage) as service:
        assert ask(service.url, "GET", f"{BASE}/slow")[2] == b"x" * 2 * MIB
        assert ask(service.url, "GET", f"{BASE}/new")[0] == 404


def test_an_idle_service_ends_at_once(tmp_path, storage):
    """With connections open but no request in flight there is nothing to wait for."""
    with served(tmp_path, *storage) as service:
        connections = [connect(service.url) for _ in range(3)]
        for connection in connections:
            connection.request("GET", f"{BASE}/k")
            connection.getresponse().read()
        assert service.end(seconds=15) == 0
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(tmp_path, storage, second):
    """Whoever cannot wait says so again."""
    with served(tmp_path, *storage) as service:
        slow = SlowPut(service.url)
        time.sleep(0.3)
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert service.process.poll() is None
        service.process.send_signal(second)
        service.process.wait(4)
        slow.connection.close()
    with served(tmp_path, *storage) as service:
        assert ask(service.url, "GET", f"{BASE}/slow")[0] == 404


def test_a_drain_has_an_end(tmp_path, storage):
    """Who does not finish in time is cut off, and nothing of it stays."""
    config = tmp_path / "serve.toml"
    config.write_text("drain_timeout = 1\n")
    with served(tmp_path, *storage, "--config", str(config)) as service:
        slow = SlowPut(service.url)
        time.sleep(0.3)
        assert service.end(seconds=20) == 0
        slow.connection.close()
    with served(tmp_path, *storage) as service:
        assert ask(service.url, "GET", f"{BASE}/slow")[0] == 404


def test_two_services_on_one_storage(tmp_path, storage):
    """They serve the same objects and take each other's sessions."""
    with (
        served(tmp_path / "1", *storage) as one,
        served(tmp_path / "2", *storage) as two,
    ):
        ask(one.url, "PUT", f"{BASE}/k", b"one")
        assert ask(two.url, "GET", f"{BASE}/k")[2] == b"one"
        answer = ask(
            one.url, "PUT", f"{BASE}/r?upload_type=resumable", upload_length="4"
        )
        session = json.loads(answer[2])["session"]
        path = f"{BASE}/r?session={session}"
        assert ask(two.url, "PUT", path, b"both", upload_offset="0")[0] == 201
        assert ask(one.url, "GET", f"{BASE}/r")[2] == b"both"
