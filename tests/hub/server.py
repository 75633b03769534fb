"""A server that speaks the hub's language as far as a download needs it, over real HTTP on this machine."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CLOSED = "http://127.0.0.1:9"  # where nobody answers
PIECE = 16 * 1024  # bytes sent at a time


@dataclass(kw_only=True)
class Repo:
    """One repository: its files, and what shall go wrong with it."""

    files: dict[str, bytes]
    gated: bool = False
    token: str = ""  # what opens it
    license: str = "creativeml-openrail-m"
    sizes: dict[str, int] = field(default_factory=dict)  # told instead of the true ones
    damaged: set[str] = field(default_factory=set)
    no_ranges: bool = False
    breaks: dict[str, int] = field(default_factory=dict)  # file -> bytes after which the line drops, once
    stalls: set[str] = field(default_factory=set)  # files of which half comes, and then nothing


@dataclass(kw_only=True)
class Asked:
    """One request for a file."""

    path: str
    range: str
    token: str
    sent: int = 0


@dataclass(kw_only=True)
class HubServer:
    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    bytes_per_second: float | None = None  # of one connection
    closing: Event = field(default_factory=Event)

    @property
    def sent(self) -> int:
        return sum(asked.sent for asked in self.asked)


def read_files(folder: Path) -> dict[str, bytes]:
    """Return a folder as the files of a repository. A studio.json is none of them."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "studio.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def is_large(path: str) -> bool:
    """Tell which files a repository keeps in LFS."""
    return path.endswith((".safetensors", ".bin"))


def describe(hub_id: str, repo: Repo) -> dict[str, object]:
    siblings = []
    for path, content in repo.files.items():
        size = repo.sizes.get(path, len(content))
        known = {"rfilename": path, "size": size}
        known["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if is_large(path):
            known["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 130}
        siblings.append(known)
    card = {"license": repo.license}
    return {
        "id": hub_id,
        "modelId": hub_id,
        "sha": COMMIT,
        "gated": "auto" if repo.gated else False,
        "private": False,
        "tags": ["diffusers", f"license:{repo.license}"],
        "cardData": card,
        "siblings": siblings,
    }


class Handler(BaseHTTPRequestHandler):
    """Answers for the server it was made for."""

    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            hub_id = "/".join(parts[2:4])
            repo = self.hub.repos.get(hub_id)
            if repo is None:
                return self.refuse(404, "RepoNotFound")
            return self.answer(json.dumps(describe(hub_id, repo)).encode())
        return self.send_file("/".join(parts[:2]), "/".join(parts[4:]))

    def send_file(self, hub_id: str, path: str) -> None:
        repo = self.hub.repos.get(hub_id)
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        asked = Asked(path=path, range=self.headers.get("range", ""), token=token)
        self.hub.asked.append(asked)
        if repo is None or path not in repo.files:
            return self.refuse(404, "EntryNotFound")
        if repo.gated and token != repo.token:
            return self.refuse(403 if token else 401, "GatedRepo")
        content = repo.files[path]
        if path in repo.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = 0 if repo.no_ranges else int(asked.range.removeprefix("bytes=").strip("-") or 0)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        return self.send_slowly(repo, path, content[start:], asked)

    def send_slowly(self, repo: Repo, path: str, content: bytes, asked: Asked) -> None:
        drop = repo.breaks.pop(path, None)
        for first in range(0, len(content), PIECE):
            if drop is not None and first >= drop:
                self.close_connection = True
                return
            if path in repo.stalls and first > len(content) // 2:
                self.hub.closing.wait(1000)
                return
            piece = content[first : first + PIECE]
            try:
                self.wfile.write(piece)
            except OSError:
                return
            asked.sent += len(piece)
            if self.hub.bytes_per_second:
                time.sleep(len(piece) / self.hub.bytes_per_second)

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    """Have this process and those it starts ask that server for models, and keep them in that folder.

    A server on this machine is no network: offline mode, in which the tests may run, is off for it.
    """
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    set_offline(monkeypatch, on=False)


def set_offline(monkeypatch: pytest.MonkeyPatch, *, on: bool) -> None:
    """Switch the hub client's offline mode, which it reads from the environment once, at its import."""
    monkeypatch.setenv("HF_HUB_OFFLINE", str(int(on)))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", on)


@contextmanager
def serve_hub() -> Iterator[HubServer]:
    """Run such a server until the end of the block."""
    server = HubServer()
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": server}))
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_port}"
    Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()  # how soon it hears of its end
    try:
        yield server
    finally:
        server.closing.set()
        http.shutdown()
        http.server_close()
