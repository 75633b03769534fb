"""Read what the hub answers: so many bytes and no more, within a time, left at once when that is wished."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, TypeVar

from ..user_files import JsonObject

if TYPE_CHECKING:
    from httpx2 import Response  # of the library that huggingface_hub 2.4 asks with
    from huggingface_hub import HfApi

TIMEOUT = 10.0  # seconds of silence before a connection counts as lost
PULSE_SECONDS = 0.2  # between two looks at whether a lookup is still wanted
REDIRECTS = 10  # in a row

Result = TypeVar("Result")


class Stopped(Exception):  # noqa: N818 - not an error: a wish
    """The download was asked to stop."""


class Stop:
    """A wish to stop that also wakes whoever waits for the network."""

    def __init__(self) -> None:
        self._asked = Event()
        self._responses: set[Response] = set()

    def ask(self) -> None:
        """Stop. The connections are shut, so that no read waits for its time limit."""
        self._asked.set()
        for response in tuple(self._responses):
            with suppress(OSError, AttributeError, KeyError):
                response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise Stopped once it was asked for."""
        if self._asked.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Wait, or raise Stopped as soon as it is asked for."""
        if self._asked.wait(seconds):
            raise Stopped

    @contextmanager
    def watch(self, response: "Response") -> Iterator[None]:
        """Have an open response shut when a stop is asked for."""
        self._responses.add(response)
        try:
            self.check()
            yield
        finally:
            self._responses.discard(response)


def file_url(hub_id: str, revision: str, path: str) -> str:
    """Return the address of one file of a commit."""
    from huggingface_hub import hf_hub_url

    return hf_hub_url(hub_id, path, revision=revision, endpoint=os.environ.get("HF_ENDPOINT") or None)


def hub_api() -> "HfApi":
    """Return the hub's client for the endpoint that the environment says now."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)


@contextmanager
def open_answer(url: str, stop: Stop, **headers: str) -> Iterator["Response"]:
    """Open an answer of the hub whose body, sent uncompressed, is still to be read.

    The body of a redirect or of an error is never read: it may have no end. Raise what the hub's client does.
    """
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    session = get_session()
    headers = {**build_hf_headers(), "Accept-Encoding": "identity", **headers}
    request = session.build_request("GET", url, headers=headers, timeout=TIMEOUT)
    for _ in range(REDIRECTS):
        stop.check()
        response = session.send(request, stream=True, follow_redirects=False)
        try:
            if response.next_request is None:  # that one goes without the token to another host
                if not response.is_success:
                    hf_raise_for_status(_without_body(response))
                    raise OSError(f"the hub answers {response.status_code}")
                with stop.watch(response):
                    yield response
                return
            request = response.next_request
        finally:
            response.close()
    raise OSError("the hub redirects from one address to the next without end")


def _without_body(response: "Response") -> "Response":
    told = {
        name: response.headers[name]
        for name in ("X-Error-Code", "X-Error-Message")
        if name in response.headers
    }
    return type(response)(response.status_code, headers=told, request=response.request)


def read_bytes(url: str, limit: int, stop: Stop) -> bytes | None:
    """Read an answer into memory; None as soon as it is longer than the limit in bytes."""
    content = bytearray()
    with open_answer(url, stop) as response:
        for chunk in response.iter_raw():
            stop.check()
            content += chunk
            if len(content) > limit:
                return None
    return bytes(content)


def parse_object(content: bytes) -> JsonObject | None:
    """Return the JSON object in a text, None if it holds none."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def within(
    seconds: float, work: Callable[[Stop], Result], waiting: Callable[[], None] | None = None
) -> Result:
    """Return what work returns, done in a thread of its own that is left when its time is up.

    No time limit of a connection ends a server that sends a byte a second, in its headers say. waiting is
    called five times a second; what it raises comes out of here. Raise TimeoutError, or what work raises.
    """
    stop, future = Stop(), Future[Result]()

    def run() -> None:
        try:
            future.set_result(work(stop))
        except BaseException as error:  # noqa: BLE001  # handed over: result() raises it for the caller
            future.set_exception(error)

    Thread(target=run, daemon=True, name="lookup").start()
    until = time.monotonic() + seconds
    try:
        while not wait([future], PULSE_SECONDS).done:
            if waiting is not None:
                waiting()
            if time.monotonic() > until:
                raise TimeoutError
        return future.result()
    finally:
        stop.ask()
