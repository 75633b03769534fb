"""Text in the lowest bits of a picture's transparency, as NovelAI and "stealth PNG info" write it.

Chat programs strip the text chunks of a picture and leave its pixels alone.
"""

import zlib

from PIL import Image

from .text_decoding import MAX_TEXT, decode_text

MAX_PIXELS = 40_000_000
_SIGNATURES = {b"stealth_pnginfo": False, b"stealth_pngcomp": True}  # -> compressed by gzip
_LENGTH = 32  # bits


def read_hidden_text(image: Image.Image) -> str | None:
    """Return the text in the lowest bits of a picture's alpha channel, None if there is none.

    The bits run down the columns: 15 bytes of signature, the length in bits as 32 bits, the text.
    """
    if image.mode not in ("RGBA", "LA") or image.width * image.height > MAX_PIXELS:
        return None
    import numpy as np  # here: the command line's help needs none

    bits = np.asarray(image.getchannel("A")).T.reshape(-1) & 1
    start = 8 * len(next(iter(_SIGNATURES)))
    signature = np.packbits(bits[:start]).tobytes()
    if signature not in _SIGNATURES:
        return None
    length = int.from_bytes(np.packbits(bits[start : start + _LENGTH]).tobytes(), "big")
    data = np.packbits(bits[start + _LENGTH :][: min(length, 8 * MAX_TEXT)]).tobytes()
    if not _SIGNATURES[signature]:
        return decode_text(data) or None
    try:
        plain = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, MAX_TEXT)
    except zlib.error:
        return None
    return decode_text(plain) or None
