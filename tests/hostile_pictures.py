"""Small files that cost libraries gigabytes or minutes: each made here, by hand."""

import struct
import zlib
from collections.abc import Callable, Iterable
from io import BytesIO

from PIL import Image

SIDE = 13_377  # squared: as many pixels as are read at all
EXIF_TAGS = 20_000_000  # numbers in one tag, two bytes each
EIGHT_ROWS = bytes(8 * (1 + 3 * 8))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, depth: int, color: int, data: bytes, *before: bytes, after: bytes = b""
) -> bytes:
    """Write a PNG with compressed rows, and chunks before and behind them."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *before, chunk(b"IDAT", data), after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def small_png(*before: bytes, after: bytes = b"") -> bytes:
    return png(8, 8, 8, 2, zlib.compress(EIGHT_ROWS), *before, after=after)


def empty_png(depth: int, color: int, channels: int, width: int = SIDE, height: int = SIDE) -> bytes:
    """Write a PNG of zeros that is as large as one may be."""
    packer, row = zlib.compressobj(9), bytes(1 + (width * depth * channels + 7) // 8)
    return png(
        width,
        height,
        depth,
        color,
        b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()]),
    )


def exif(numbers: int, place: int = 26) -> bytes:
    """Write EXIF whose orientation has so many numbers, at a place; a single one is the place itself."""
    entry = struct.pack("<HHHII", 1, 0x0112, 3, numbers, place)
    return b"II*\0\x08\0\0\0" + entry + bytes(4) + bytes(2 * numbers)


def tiff(
    extra: Iterable[tuple[int, int, int, bytes]] = (),
    *,
    tile: int = 0,
    next_page: bool = False,
    pages: bytes = b"",
) -> bytes:
    """Write a grey TIFF of 8x8 pixels; with more tags, with tiles of a size, with a chain of more pages."""
    pixels = bytes(64)
    tags: list[tuple[int, int, int, int | bytes]] = [
        *((256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 8 if tile else 1)),
        *((262, 3, 1, 1), (277, 3, 1, 1)),
        *extra,
    ]
    if tile:
        pixels = zlib.compress(bytes(64))
        tags += [(322, 4, 1, tile), (323, 4, 1, tile), (324, 4, 1, b""), (325, 4, 1, len(pixels))]
    else:
        tags += [(273, 4, 1, b""), (278, 4, 1, 8), (279, 4, 1, 64)]
    tags.sort(key=lambda tag: tag[0])
    start, body, rows = 8 + 2 + 12 * len(tags) + 4, b"", b""
    values = sum(len(tag[3]) for tag in tags if isinstance(tag[3], bytes))
    for number, kind, count, value in tags:
        if isinstance(value, bytes):
            place, body = (start + len(body), body + value) if value else (start + values, body)
            rows += struct.pack("<HHII", number, kind, count, place)
        else:
            rows += struct.pack("<HHII", number, kind, count, value)
    end = start + values + len(pixels)
    following = struct.pack("<I", end if next_page else 0)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + rows + following + body + pixels + pages


def chained_tiff(pages: int) -> bytes:
    """Write a TIFF with so many more pages, each with nothing in it."""
    end = len(tiff())
    chain = b"".join(struct.pack("<HI", 0, end + 6 * (page + 1)) for page in range(pages))
    return tiff(next_page=True, pages=chain + struct.pack("<HI", 0, 0))


GIF = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
GIF_FRAME = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\x00"
ZEROS = zlib.compress(bytes(4_000_000 - 100), 9)
TEXTS = [chunk(b"zTXt", b"key %d\0\0" % k + ZEROS) for k in range(1_000)]
BOMB = zlib.compress(bytes(300_000_000), 9)


def webp(width: int, height: int) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (width, height), (9, 80, 200)).save(stream, "WEBP", lossless=True, method=0)
    return stream.getvalue()


def webp_with_exif() -> bytes:
    stream = BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "WEBP", exif=exif(EXIF_TAGS))
    return stream.getvalue()


def solid_webp(width: int, height: int) -> bytes:
    """Change the size in the header of a lossless WebP of one colour: 14 bits each, from bit 8 on."""
    data = bytearray(webp(8, 8))
    at = data.index(b"VP8L") + 9
    bits = int.from_bytes(data[at : at + 4], "little") & ~0xFFFFFFF
    data[at : at + 4] = (bits | (width - 1) | (height - 1) << 14).to_bytes(4, "little")
    return bytes(data)


SMALL: dict[str, Callable[[], bytes]] = {
    "narrow.png": lambda: png(1, 40_000, 8, 2, zlib.compress(bytes(4 * 40_000), 9)),
    "texts.png": lambda: small_png(*TEXTS),
    "texts-behind.png": lambda: small_png(after=b"".join(TEXTS)),
    "text-bomb.png": lambda: small_png(chunk(b"zTXt", b"parameters\0\0" + BOMB)),
    "profile-bomb.png": lambda: small_png(chunk(b"iCCP", b"a\0\0" + BOMB)),
    "exif.png": lambda: small_png(chunk(b"eXIf", exif(EXIF_TAGS))),
    "exif-behind.png": lambda: small_png(after=chunk(b"eXIf", exif(EXIF_TAGS))),
    "exif.webp": webp_with_exif,
    "169-megapixels-in-34-bytes.webp": lambda: solid_webp(13_000, 13_000),
    "tag.tif": lambda: tiff([(33_000, 3, EXIF_TAGS, bytes(2 * EXIF_TAGS))]),
    "orientation.tif": lambda: tiff([(274, 3, EXIF_TAGS, bytes(2 * EXIF_TAGS))]),
    "tile.tif": lambda: tiff(tile=40_000),
    "pages.tif": lambda: chained_tiff(300_000),
    "frames.gif": lambda: GIF + GIF_FRAME * 1_000_000 + b";",
    "comment.gif": lambda: GIF + b"!\xfe" + (b"\xff" + b"a" * 255) * 200_000 + b"\0" + GIF_FRAME + b";",
}
# As large as may be read at all; what they cost is what the largest honest picture costs.
LARGE: dict[str, Callable[[], bytes]] = {
    "bits.png": lambda: empty_png(1, 0, 1),
    "grey.png": lambda: empty_png(8, 0, 1),
    "grey-16.png": lambda: empty_png(16, 0, 1),
    "rgb.png": lambda: empty_png(8, 2, 3),
    "rgba.png": lambda: empty_png(8, 6, 4),
    "rgba-16.png": lambda: empty_png(16, 6, 4),
    "narrow.png": lambda: empty_png(8, 2, 3, 846, 211_000),
    "large.webp": lambda: webp(9_600, 9_600),
}
