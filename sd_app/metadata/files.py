"""Saving pictures with their request inside: numbered, whole or not at all, never over another."""

import errno
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path

from PIL import Image, PngImagePlugin

from ..requests import Txt2ImgRequest
from .carriers import PNG_KEY
from .infotext import to_infotext
from .listing import next_number, picture_numbers


def save_image(
    image: Image.Image,
    request: Txt2ImgRequest,
    *,
    outputs_dir: Path,
    seed: int,
    companions: Mapping[str, Image.Image] | None = None,
) -> Path:
    """Save one picture as `outputs_dir/YYYY-MM-DD/NNNNN-<seed>.png` with its own request inside.

    Its companions go under the same number, `NNNNN-<seed>-<name>.png`, and are there before it is.

    The number is the next free one of the day. Threads and processes may save at the same time: none gets
    another's number, and a file appears only when it is whole. Raise OSError in words when that fails.
    """
    infotext = to_infotext(replace(request, seed=seed, num_images=1))
    files = {f"-{name}": png_bytes(companion, infotext) for name, companion in (companions or {}).items()}
    files[""] = png_bytes(image, infotext)
    folder = Path(outputs_dir) / date.today().isoformat()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = _save_numbered(files, folder, next_number(folder), seed)
            if path is not None:
                return path
    except OSError as error:
        raise _explained(error, folder) from error


def save_beside(path: Path, ending: str, data: bytes) -> Path:
    """Save what belongs to a saved picture as `NNNNN-<seed><ending>`, whole or not at all."""
    companion = path.with_name(f"{path.stem}{ending}")
    write_bytes(data, companion)
    return companion


def write_bytes(data: bytes, path: Path) -> None:
    """Write a file of the user's choice, whole or not at all; an older file is replaced."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise _explained(error, path.parent) from error
    finally:
        partial.unlink(missing_ok=True)


def write_png(image: Image.Image, infotext: str, path: Path) -> None:
    """Write a picture to a file of the user's choice, whole or not at all; an older file is replaced."""
    write_bytes(png_bytes(image, infotext), path)


def png_bytes(image: Image.Image, infotext: str = "") -> bytes:
    """Encode as PNG with the infotext, if any, in its text chunk: tEXt, or iTXt when it is not Latin-1."""
    chunks = PngImagePlugin.PngInfo()
    if infotext:
        chunks.add_text(PNG_KEY, infotext)
    stream = BytesIO()
    # A copy, since save() keeps its options in the object, for all threads.
    image.copy().save(stream, "PNG", pnginfo=chunks)
    return stream.getvalue()


def _save_numbered(files: Mapping[str, bytes], folder: Path, number: int, seed: int) -> Path | None:
    """Try to save files, by what their name adds, under a number; None if someone else took it meanwhile.

    Return the path of the last one, the picture itself. The hidden partial file reserves the number: only
    one can create it. Whoever held it before has either finished, which the second look at the folder shows,
    or given the number up.
    """
    partial = folder / f".{number:05}.partial"
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return None
    try:
        if number in picture_numbers(folder):
            return None
        for ending, data in files.items():
            path = folder / f"{number:05}-{seed}{ending}.png"
            if not _write_new(data, path, partial.with_stem(f"{partial.stem}{ending}")):
                return None
        return path
    finally:
        partial.unlink(missing_ok=True)


def _write_new(data: bytes, path: Path, partial: Path) -> bool:
    """Write a file that appears whole and over no other; False if its name is taken."""
    try:
        partial.write_bytes(data)
        return _link(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _link(partial: Path, path: Path) -> bool:
    """Give a whole file its name, never over another; False if the name is taken."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        partial.rename(path)  # a file system without links; the reserved number guards the name
    return True


def _explained(error: OSError, folder: Path) -> OSError:
    reason = error.strerror or str(error)
    explained = OSError(f"cannot save in {folder}: {reason} (free some space or choose another folder)")
    explained.errno = error.errno
    return explained
