"""Saved pictures on their way to the page, and back after a reload.

The page gets a copy in Gradio's cache under the hash of its content: the very bytes of the saved file,
at an address that another visitor cannot guess, while the outputs folder itself is never served.
"""

import hashlib
import hmac
import io
import mimetypes
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from gradio.data_classes import FileData
from gradio.processing_utils import save_bytes_to_cache, save_file_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from ...metadata import parse_infotext, read_infotext
from ...requests import Txt2ImgResult
from .components import ServedFile
from .made_pictures import MadePictures
from .result_values import ImageEntry

MAX_PATH = 4096  # characters
MAX_RESTORED = 100  # pictures shown again after a reload


def exact(number: object) -> object:
    """Return a number as a browser can hold it: beyond 2**53, where it would round it, as text."""
    return str(number) if isinstance(number, int) and number > 2**53 else number


class PictureFiles:
    """Hands pictures to the page, and a note of the last ones to the browser for the next reload.

    The note comes back from the browser, so it may name anything: only pictures inside the outputs folder
    count. Where several visitors share the folder, each name carries a signature, so that nobody reads
    another's pictures by guessing their numbers.
    """

    def __init__(self, outputs_dir: Path, *, shared: bool, copies: set[str]) -> None:
        """`copies` is the set in which Gradio keeps the files it deletes when they are old."""
        self._folder = outputs_dir.resolve()
        self._key = secrets.token_bytes(32) if shared else None
        self._copies = copies
        self.made = MadePictures()
        self.on_made: Callable[[Sequence[Path], str], None] = lambda paths, owner: None

    def note_made(self, result: Txt2ImgResult, owner: str) -> None:
        """Remember a result's pictures with their requests, and as whose they are."""
        self.made.note(result, owner)
        self.on_made(result.paths, owner)

    def file(self, path: Path) -> ServedFile:
        """Copy a picture or film where Gradio serves it from; return what its clients take for a file."""
        copy = save_file_to_cache(path, cache_dir=get_upload_folder())
        self._copies.add(copy)
        kind, _ = mimetypes.guess_type(path.name)
        served: ServedFile = FileData(path=copy, orig_name=path.name, mime_type=kind).model_dump()
        return served

    def picture(self, image: Image.Image, name: str = "picture.png") -> ServedFile:
        """Do as `file` for a picture that is no file yet; `name` is what a download is called."""
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        return self.data(buffer.getvalue(), name)

    def data(self, data: bytes, name: str) -> ServedFile:
        """Do as `file` for what is no file yet."""
        copy = save_bytes_to_cache(data, name, cache_dir=get_upload_folder())
        self._copies.add(copy)
        kind, _ = mimetypes.guess_type(name)
        served: ServedFile = FileData(path=copy, orig_name=name, mime_type=kind).model_dump()
        return served

    def uploaded(self, path: object) -> Path:
        """Return the path of a file that was uploaded or handed out; raise ValueError for any other.

        Its folder's name is a hash of its content, so that nobody can name a file they never had.
        """
        folder = Path(get_upload_folder()).resolve()
        if isinstance(path, str) and "\0" not in path and len(path) < MAX_PATH:
            found = Path(path).resolve()
            try:
                if found.is_relative_to(folder) and found.is_file():
                    return found
            except OSError:  # a name too long for the disk
                pass
        raise ValueError("the picture is not here any more (open it again)")

    def again(self, path: object) -> ServedFile | None:
        """Return a picture that was handed out before, as the browser noted its path; None if it is gone.

        Of what was handed out or uploaded only pictures as this app makes them count.
        """
        try:
            found = self.uploaded(path)
        except ValueError:
            return None
        return self.file(found) if found.suffix == ".png" else None

    def entry(self, path: Path, infotext: str, seed: object) -> ImageEntry:
        """Return one entry of a result's gallery."""
        return {
            "file": self.file(path),
            "name": path.name,
            "seed": exact(seed),
            "infotext": infotext,
            "look": self.made.token_of(path),
        }

    def read_entry(self, path: Path) -> ImageEntry:
        """Return the gallery entry of a saved picture by what its file says."""
        infotext = read_infotext(path) or ""
        try:
            seed = parse_infotext(infotext).fields.get("Seed", "")
        except ValueError:  # the file was replaced by another program's
            seed = ""
        return self.entry(path, infotext, int(seed) if seed.isdecimal() else seed)

    def name_of(self, path: Path) -> str:
        """Return a picture's name in the outputs folder: DAY/NUMBER-SEED.png."""
        return path.resolve().relative_to(self._folder).as_posix()

    def note(self, paths: tuple[Path, ...]) -> list[list[str]]:
        """Return what the browser shall keep for these pictures."""
        names = [self.name_of(path) for path in paths[-MAX_RESTORED:]]
        return [[name, self._sign(name)] for name in names]

    def restore(self, note: object) -> list[Path]:
        """Return the noted pictures that are still there and may be shown."""
        paths = [self._path(entry) for entry in note[:MAX_RESTORED]] if isinstance(note, list) else []
        return [path for path in paths if path is not None]

    def _sign(self, name: str) -> str:
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest() if self._key else ""

    def _path(self, entry: object) -> Path | None:
        match entry:
            case [str(name), str(signature)] if "\0" not in name and name.isascii():
                pass
            case _:
                return None
        if not (signature.isascii() and hmac.compare_digest(signature, self._sign(name))):
            return None
        path = (self._folder / name).resolve()
        inside = path.is_relative_to(self._folder) and path.suffix == ".png"
        return path if inside and path.is_file() else None
