"""Fetch one file into the hub's cache: resumed where it was left, checked by its hash, stopped at once.

huggingface_hub's own download (2.4) writes to a new name each time, so it begins every file anew; it checks
no hash and hears of a stop only every 10 MB. So its session, token and errors are used, and the loop is ours.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from os import SEEK_END
from pathlib import Path

from ..requests import HubFile
from .http_client import Stop, file_url, open_answer
from .hub_cache import INCOMPLETE, is_there, link
from .hub_errors import FileError, HubError, hub_errors

READ = 8 * 1024 * 1024  # bytes hashed at a time of what is there
LOCK_SECONDS = 0.3  # between two looks at the stop while another process fetches the same file
RETRIES = 5  # in a row without a new byte
MAX_PAUSE = 8.0  # seconds between two of them
TOO_BUSY = (408, 429, 500, 502, 503, 504)


Told = Callable[[int], None]  # is told of new bytes; negative when bytes have to be fetched again


class Partial:
    """A file that grows, with the hash of what is in it so far."""

    def __init__(self, path: Path, file: HubFile, stop: Stop, told: Told) -> None:
        self.path = path
        self._file = file
        self._told = told
        self._target = path.open("ab+", buffering=0)
        self._hash = self._file.start_hash()
        if self.size > file.size_bytes:
            self.restart()
        self._target.seek(0)
        for _ in range(-(-file.size_bytes // READ)):
            stop.check()
            self._hash.update(self._target.read(READ))

    @property
    def size(self) -> int:
        """Return how many bytes are in it."""
        return self._target.seek(0, SEEK_END)

    @property
    def is_whole(self) -> bool:
        """Tell whether it has the bytes that the hub said; is_right tells of their hash."""
        return self.size == self._file.size_bytes

    @property
    def is_right(self) -> bool:
        """Tell whether the hash is the one that names the blob."""
        return self._hash.hexdigest() == self._file.blob

    def append(self, chunk: bytes) -> None:
        """Write at the end. Raise FileError when the disk will not take it, or it is too much."""
        if self.size + len(chunk) > self._file.size_bytes:
            raise FileError(f"the hub sends more of {self._file.path} than it said (try again later)")
        try:
            self._target.write(chunk)
        except OSError as error:
            raise FileError(f"{self.path} cannot be written: {error.strerror or error}") from error
        self._hash.update(chunk)
        self._told(len(chunk))

    def restart(self) -> None:
        """Throw away what is in it."""
        self._told(-self.size)
        self._target.truncate(0)
        self._hash = self._file.start_hash()

    def close(self) -> None:
        """Close the file and leave it as it is."""
        self._target.close()


def fetch_file(hub_id: str, revision: str, file: HubFile, repo: Path, *, stop: Stop, told: Told) -> None:
    """Bring one file into the cache.

    A small one is linked into its snapshot at once, so that the model can be described; weights are linked
    when all is there, so that half a model never looks whole.

    What has come stays as BLOB.incomplete when it is stopped or fails, and is continued the next time.
    Raise Stopped, ValueError or OSError in words.
    """
    blob = repo / "blobs" / file.blob
    try:
        blob.parent.mkdir(parents=True, exist_ok=True)
        if not is_there(repo, revision, file.path, file.blob):
            with _locked(repo, file.blob, stop):
                if not blob.is_file():  # another process may have fetched it while this one waited
                    _complete(hub_id, revision, file, blob, stop, told)
        if not file.is_weights:
            link(repo, revision, file.path, file.blob)
    except HubError:
        raise
    except OSError as error:
        raise FileError(f"{file.path} cannot be kept in {repo}: {error.strerror or error}") from error


@contextmanager
def _locked(repo: Path, blob: str, stop: Stop) -> Iterator[None]:
    """Be the only process that fetches this file; the hub's own client heeds the same lock."""
    from filelock import Timeout
    from huggingface_hub.utils import WeakFileLock

    path = repo.parent / ".locks" / repo.name / f"{blob}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        while True:
            stop.check()
            with suppress(Timeout):
                held.enter_context(WeakFileLock(path, timeout=LOCK_SECONDS))
                break
        yield


def _complete(hub_id: str, revision: str, file: HubFile, blob: Path, stop: Stop, told: Told) -> None:
    with closing(Partial(blob.with_name(blob.name + INCOMPLETE), file, stop, told)) as partial:
        _fetch(hub_id, file_url(hub_id, revision, file.path), partial, stop)
        is_right = partial.is_right
        if not is_right:
            partial.restart()
    if not is_right:
        partial.path.unlink()
        raise FileError(
            f"{file.path} of {hub_id} arrived damaged: its checksum is not the hub's (it was deleted; start"
            " the download again)"
        )
    partial.path.replace(blob)


def _fetch(hub_id: str, url: str, partial: Partial, stop: Stop) -> None:
    """Append to the file until it is whole; a lost connection is taken up again where it broke."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    failures = 0
    while not partial.is_whole:
        stop.check()
        start = partial.size
        try:
            with hub_errors(hub_id):
                _read_from(url, start, partial, stop)
        except HubError as error:
            stop.check()  # a connection that was shut on purpose is no failure
            cause = error.__cause__
            if isinstance(cause, HfHubHTTPError):
                passes = cause.response.status_code in TOO_BUSY
            else:
                passes = isinstance(cause, HTTPError)
            failures = 0 if partial.size > start else failures + 1
            if failures >= RETRIES or not passes:
                raise
            stop.sleep(min(MAX_PAUSE, 0.5 * 2**failures))


def _read_from(url: str, start: int, partial: Partial, stop: Stop) -> None:
    """Read one answer of the server into the file."""
    # Sent uncompressed: a range counts the bytes on the way.
    headers = {"Range": f"bytes={start}-"} if start else {}
    with open_answer(url, stop, **headers) as response:
        if start and response.status_code != 206:  # a server that knows no ranges sends all of it again
            partial.restart()
        for chunk in response.iter_raw():
            stop.check()
            partial.append(chunk)
