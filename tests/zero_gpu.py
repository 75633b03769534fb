"""A stand-in for what surrounds a ZeroGPU Space, and the real app inside it with the real package `spaces`.

On a Space a device manager lends the card: it is told how long a job asks for, which process may use it, and
when it is free again. Here it is a small HTTP server that keeps the books. The app runs in a process of its
own, since `spaces` changes torch when it is imported; only the card's own start is left out: there is none.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import spaces.zero.torch as lent
lent.init = lent.move = lambda *_, **__: None  # there is no card whose driver could be started
import app
app.main()
"""


@dataclass(kw_only=True)
class Booking:
    """One loan of the card."""

    seconds: int
    task: str
    token: str | None  # of the visitor whose minutes it counts against
    pid: int | None = None
    released: bool = False


@dataclass(kw_only=True)
class DeviceManager:
    """Lends one card to whoever asks, and keeps the books."""

    bookings: list[Booking] = field(default_factory=list)
    refusal: dict[str, object] | None = None  # {"left": seconds, "wait": seconds}: no minutes are left

    def schedule(self, asked: dict[str, str]) -> tuple[int, dict[str, object]]:
        if self.refusal is not None:
            return 429, self.refusal
        idle = any(
            one.task == asked["taskId"] and one.pid and psutil.pid_exists(one.pid) for one in self.bookings
        )
        booking = Booking(
            seconds=int(asked["durationSeconds"]), task=asked["taskId"], token=asked.get("token")
        )
        self.bookings.append(booking)
        number = str(len(self.bookings) - 1)
        return 200, {"idle": idle, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": number}

    def answer(self, path: str, asked: dict[str, str]) -> tuple[int, dict[str, object]]:
        if path == "/schedule":
            return self.schedule(asked)
        if path in ("/allow", "/release"):
            booking = self.bookings[int(asked["allowToken"])]
            if path == "/allow":
                booking.pid = int(asked["pid"])
            booking.released = path == "/release"
        return 200, {}

    @property
    def workers(self) -> set[int]:
        """Return the processes that were lent the card and are alive."""
        return {one.pid for one in self.bookings if one.pid and psutil.pid_exists(one.pid)}


@contextmanager
def lending() -> Iterator[tuple[DeviceManager, str]]:
    """Run a device manager; yield it and its address."""
    manager = DeviceManager()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            url = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            status, body = manager.answer(url.path, asked)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield manager, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def space(folder: Path, models: Path, *, manager_url: str, port: int) -> Iterator[tuple[str, Path]]:
    """Run the app as a ZeroGPU Space would; yield its address and its log."""
    log = folder / "log.txt"
    environ = {
        **os.environ,
        "SPACE_ID": "someone/studio",
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": manager_url,
        "ZEROGPU_OFFLOAD_DIR": str(folder / "tensors"),
        "GRADIO_SERVER_PORT": str(port),
        "SD_APP_HOST": "127.0.0.1",
        "SD_APP_PORT": str(port),
        "SD_APP_MODELS_DIR": str(models),
        "SD_APP_OUTPUTS_DIR": str(folder / "outputs"),
        "OMP_NUM_THREADS": "2",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
    }
    url = f"http://127.0.0.1:{port}/"
    with log.open("w") as out:
        app = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env=environ, stdout=out, stderr=out, cwd=folder
        )
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                if httpx.get(url).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.2)
            assert app.poll() is None, log.read_text()
        yield url, log
    finally:
        children = psutil.Process(app.pid).children(recursive=True)
        app.terminate()
        app.wait(20)
        for child in children:
            if child.is_running():
                child.kill()
