"""The pictures of a folder: told by what the files hold, with what systems leave there passed over."""

from pathlib import Path

# What belongs to a system and is no picture of anybody's, whatever it is called.
RESOURCE_NAMES = ("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r")
RESOURCE_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")
SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif"),
)
_STARTS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
)
_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
_BYTES = 16


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder in the order of their names; folders inside are not entered.

    A file counts if its first bytes are a picture's, or its ending is: what is then no picture, or may not be
    read, is refused by its name when its turn comes. Hidden files and systems' own are left out, and so are
    links that lead nowhere or in a circle. Raise OSError if the folder cannot be read.
    """
    if folder.name in RESOURCE_FOLDERS:
        return []
    return sorted(path for path in folder.iterdir() if not _is_resource(path) and _is_picture(path))


def _is_resource(path: Path) -> bool:
    """Tell hidden files, macOS' `._name.jpg` among them, and those of systems."""
    return path.name.startswith(".") or path.name.lower() in RESOURCE_NAMES


def _is_picture(path: Path) -> bool:
    try:
        if not path.is_file():  # nor is a pipe, which would be waited for
            return False
        return path.suffix.lower() in SUFFIXES or _begins_like_a_picture(path)
    except OSError:
        return False


def _begins_like_a_picture(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_BYTES)
    is_webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    return start.startswith(_STARTS) or is_webp or (start[4:8] == b"ftyp" and start[8:12] in _BRANDS)
