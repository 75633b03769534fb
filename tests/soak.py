"""Four clients at once ask a real server for everything, as people do: `python -m tests.soak --minutes 15`.

They mix jobs of all kinds with cancels, dropped connections, reloads and bad values. Each request has one
right answer, asked for beforehand with nobody else there; a picture of somebody else's, or a wrong one, is a
fault. Memory, open files and threads of the server must come to rest.
"""

import argparse
import hashlib
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import psutil
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image, ImageDraw

CLIENTS = 4
WARM_SECONDS = 180  # until caches are full, of a long run
GROWTH = 1.05  # of resident memory after that, at most
SHORT_GROWTH = 1.15  # of a run too short for the caches to fill
SPARE = 8  # files and threads that come and go
# Acts of a hundred whose answer gradio_client may lose: it takes an event for one of a stream that the server
# has just closed, and ends it with CancelledError. Asked again it has its answer.
LOST_BY_CLIENT = 0.5
SAMPLE_SECONDS = 2.0
LONG = {"prompt": "a cat", "num_inference_steps": 1000, "num_images": 50}
BAD: Sequence[tuple[str, dict[str, object]]] = (
    ("/txt2img", {"prompt": "a cat", "num_inference_steps": 0}),
    ("/txt2img", {"prompt": "a cat", "guidance_scale": float("nan")}),
    ("/txt2img", {"prompt": "{" * 3000}),
    ("/txt2img", {"prompt": "a cat", "model": "../../etc/passwd"}),
    ("/txt2img", {"prompt": "a cat", "seed": 2**70}),
    ("/img2img", {"prompt": "a cat", "init_image": {"path": "/etc/passwd"}}),
    ("/match", {"images": [], "texts": ["a cat"]}),
    ("/walk", {"a": "cat", "b": "dog", "prompt": "a {}", "frames": 1}),
    ("/submit", {"endpoint": "txt2img", "values": {"promt": "a cat"}}),
    ("/status", {"job": "nobody's"}),
    ("/tokens", {"prompt": "a cat", "model": "nowhere"}),
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A call with one right answer."""

    endpoint: str
    values: dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The server at one moment."""

    seconds: float
    resident: int  # bytes
    files: int
    threads: int


@dataclass(kw_only=True)
class Soak:
    """What was done and what was found."""

    url: str
    folder: Path
    questions: list[Question] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    lost: int = 0  # answers that the clients' library lost
    ends: float = 0.0

    def prepare(self) -> None:
        """Draw the pictures that are sent, and ask every question alone."""
        self.questions = list(questions(self.folder))
        with self.client("alone") as client:
            self.answers = [self.ask(client, question) for question in self.questions]
            again = [self.ask(client, question) for question in self.questions]
        assert self.answers == again, "a question has two answers even alone"

    @contextmanager
    def client(self, name: str) -> Iterator[Client]:
        client = Client(self.url, verbose=False, download_files=str(self.folder / name))
        try:
            yield client
        finally:
            client.close()

    def ask(self, client: Client, question: Question) -> str:
        """Return a digest of the answer."""
        return digest(client.predict(**question.values, api_name=f"/{question.endpoint}"))

    # -- what a client does

    def act(self, number: int) -> None:
        """Be one client until the time is over."""
        chance = random.Random(number)
        acts: dict[Callable[[Client, random.Random], None], int] = {
            self.compare: 8,
            self.compare_by_id: 3,
            self.cancel: 2,
            self.drop: 2,
            self.reload: 2,
            self.send_bad_values: 3,
        }
        while time.monotonic() < self.ends:
            with self.client(f"client {number}") as client:  # a new one now and then, as people come and go
                for _ in range(12):
                    (act,) = chance.choices(list(acts), list(acts.values()))
                    try:
                        act(client, chance)
                    except CancelledError:
                        self.lost += 1
                    except Exception as error:  # noqa: BLE001  # it is what is looked for
                        self.faults.append(f"{act.__name__}: {type(error).__name__}: {error}"[:400])
                    self.done[act.__name__] += 1
                    if time.monotonic() > self.ends:
                        break

    def compare(self, client: Client, chance: random.Random) -> None:
        """Ask a question, waiting for it."""
        number = chance.randrange(len(self.questions))
        if self.ask(client, self.questions[number]) != self.answers[number]:
            self.faults.append(f"another answer to {self.questions[number]}")

    def compare_by_id(self, client: Client, chance: random.Random) -> None:
        """Ask a question by its id, twice with one key."""
        number = chance.randrange(len(self.questions))
        question, key = self.questions[number], str(chance.random())
        jobs = {
            client.predict(question.endpoint, question.values, key, api_name="/submit")["job"]
            for _ in range(2)
        }
        (job,) = jobs
        client.predict(job, api_name="/status")
        if digest(client.predict(job, api_name="/result")) != self.answers[number]:
            self.faults.append(f"another answer by id to {question}")

    def cancel(self, client: Client, chance: random.Random) -> None:
        """Take a long job back, waiting or running."""
        job = client.predict("txt2img", LONG, api_name="/submit")["job"]
        time.sleep(chance.random())
        client.predict(job, api_name="/cancel")
        with suppress(AppError):
            client.predict(job, api_name="/result")

    def drop(self, client: Client, chance: random.Random) -> None:
        """Ask for a long job by an endpoint that waits, and hang up."""
        job = client.submit(**LONG, api_name="/txt2img")
        time.sleep(chance.random())
        job.cancel()

    def reload(self, client: Client, chance: random.Random) -> None:
        """Open the page."""
        with httpx.Client(timeout=60) as browser:
            for path in ("", "config"):
                browser.get(self.url + path).raise_for_status()

    def send_bad_values(self, client: Client, chance: random.Random) -> None:
        """Send what is wrong, which must come back as words."""
        endpoint, values = chance.choice(BAD)
        try:
            client.predict(**values, api_name=endpoint)
        except (AppError, ValueError) as error:
            if len(str(error)) < 10 or "Traceback" in str(error) or "not foreseen" in str(error):
                self.faults.append(f"no words for {endpoint} {values}: {error}"[:400])
        else:
            self.faults.append(f"taken: {endpoint} {values}"[:400])

    # -- what is found

    def watch(self, server: psutil.Process, over: Event) -> None:
        """Note now and then what the server holds."""
        began = time.monotonic()
        while not over.wait(SAMPLE_SECONDS):
            with server.oneshot():
                self.samples.append(
                    Sample(
                        seconds=time.monotonic() - began,
                        resident=server.memory_info().rss,
                        files=server.num_fds(),
                        threads=server.num_threads(),
                    )
                )

    def rest(self) -> None:
        """Note whether the line is empty after all, and every answer still the right one."""
        with self.client("after") as client:
            until = time.monotonic() + 60
            while any(job["state"] in ("waiting", "running") for job in client.predict(api_name="/jobs")):
                if time.monotonic() > until:
                    self.faults.append("jobs of clients that are gone go on")
                    return
                time.sleep(0.2)
            if [self.ask(client, question) for question in self.questions] != self.answers:
                self.faults.append("other answers afterwards")

    def compare_samples(self, minutes: float) -> str:
        """Note what grew; return the figures."""
        long = minutes * 60 > 2 * WARM_SECONDS
        warm = WARM_SECONDS if long else minutes * 60 / 2
        later = [sample for sample in self.samples if sample.seconds > warm]
        quarter = max(1, len(later) // 4)
        before, after = later[:quarter], later[-quarter:]

        def both(of: Callable[[Sample], int]) -> tuple[float, float]:
            return statistics.median(map(of, before)), statistics.median(map(of, after))

        resident, files, threads = (
            both(lambda s: s.resident),
            both(lambda s: s.files),
            both(lambda s: s.threads),
        )
        if resident[1] > resident[0] * (GROWTH if long else SHORT_GROWTH):
            self.faults.append(f"memory grew from {resident[0] / 1e6:.0f} to {resident[1] / 1e6:.0f} MB")
        for name, (one, other) in (("files", files), ("threads", threads)):
            if other > one + SPARE:
                self.faults.append(f"{name} grew from {one:.0f} to {other:.0f}")
        return (
            f"after {warm:.0f} s: memory {resident[0] / 1e6:.0f} -> {resident[1] / 1e6:.0f} MB,"
            f" files {files[0]:.0f} -> {files[1]:.0f}, threads {threads[0]:.0f} -> {threads[1]:.0f}\n"
            f"memory minute by minute: {', '.join(self._by_minute())} MB"
        )

    def _by_minute(self) -> Iterator[str]:
        """Yield what was held in each minute, in the median: a plateau and a leak look different."""
        for _, samples in groupby(self.samples, lambda sample: sample.seconds // 60):
            yield f"{statistics.median(sample.resident for sample in samples) / 1e6:.0f}"


def questions(folder: Path) -> Iterator[Question]:
    """Yield calls of every kind, each with its own answer."""
    photo, mask = folder / "photo.png", folder / "mask.png"
    picture = Image.new("RGB", (96, 64), "seagreen")
    ImageDraw.Draw(picture).ellipse((20, 10, 60, 50), fill="orange")
    picture.save(photo)
    hole = Image.new("L", (96, 64))
    ImageDraw.Draw(hole).rectangle((30, 20, 70, 50), fill=255)
    hole.save(mask)
    small = {"width": 64, "height": 64, "num_inference_steps": 4}
    for seed in range(6):
        yield Question(endpoint="txt2img", values={"prompt": f"a cat {seed}", "seed": seed, **small})
    for seed in range(3):
        values = {"prompt": "a dog", "init_image": handle_file(photo), "seed": seed, "strength": 0.8, **small}
        yield Question(endpoint="img2img", values=values)
        inpaint = {"prompt": "a tree", "init_image": handle_file(photo), "mask_image": handle_file(mask)}
        yield Question(endpoint="inpaint", values={**inpaint, "seed": seed, "num_inference_steps": 4})
        walk = {"a": "cat", "b": "dog", "prompt": "a {}", "frames": 3, "seed": seed, **small}
        yield Question(endpoint="walk", values=walk)
    yield Question(
        endpoint="blend", values={"expression": "cat + 0.4*tabby", "prompt": "a {}", "seed": 3, **small}
    )
    image = handle_file(photo)
    yield Question(endpoint="interrogate", values={"image": image, "caption": "a cat", "mode": "fast"})
    yield Question(endpoint="match", values={"images": [image], "texts": ["a cat", "a dog"]})


def digest(answer: dict[str, Any]) -> str:
    """Return what tells one answer from another: pixels and words, not the seconds. Delete its files."""
    found = hashlib.sha256()
    pictures = [*answer.get("images", ()), *answer.get("raw_images", ())]
    for name in pictures:
        with Image.open(name) as picture:
            found.update(picture.convert("RGB").tobytes())
    for name in pictures:
        Path(name).unlink(missing_ok=True)
    told = {name: answer.get(name) for name in ("seeds", "prompt", "prompts", "cosines", "drifts")}
    found.update(json.dumps(told, sort_keys=True).encode())
    return found.hexdigest()


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, psutil.Process, Path]]:
    """Run the app as people do, in a process of its own; yield its address, process and log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log.txt"
    command = [sys.executable, "app.py", "--port", str(port), "--outputs-dir", str(folder / "outputs")]
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, cwd=Path(__file__).parent.parent
        )
        try:
            url, until = f"http://127.0.0.1:{port}/", time.monotonic() + 180
            while True:
                with suppress(httpx.HTTPError):
                    if httpx.get(url).status_code == 200:
                        break
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, "the app does not start"
                time.sleep(0.5)
            yield url, psutil.Process(process.pid), log
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def run(minutes: float) -> Soak:
    """Let the clients at a server for so long; print and return what was found."""
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        with server(folder) as (url, process, log):
            soak = Soak(url=url, folder=folder)
            soak.prepare()
            over = Event()
            watcher = Thread(target=soak.watch, args=(process, over))
            watcher.start()
            soak.ends = time.monotonic() + 60 * minutes
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(soak.act, range(CLIENTS)))
            over.set()
            watcher.join()
            soak.rest()
            figures = soak.compare_samples(minutes)
            if soak.lost > max(1, LOST_BY_CLIENT / 100 * soak.done.total()):
                soak.faults.append(f"{soak.lost} streams were closed before their answers came")
            if "Traceback" in log.read_text():
                soak.faults.append(f"a traceback in the log: {log.read_text()[-2000:]}")
    acts = ", ".join(f"{count} {name}" for name, count in sorted(soak.done.items()))
    print(f"{minutes:g} minutes, {CLIENTS} clients, {soak.done.total()} acts: {acts}\n{figures}")
    if soak.lost:
        print(f"{soak.lost} answers were lost by the clients' own library")
    print("\n".join(soak.faults) or "no faults")
    return soak


def main() -> int:
    parser = argparse.ArgumentParser(description="Four clients mix everything against a real server.")
    parser.add_argument("--minutes", type=float, default=15.0)
    return bool(run(parser.parse_args().minutes).faults)


if __name__ == "__main__":
    sys.exit(main())
