"""Pictures one after the other, none mixed with another: an MP4 for browsers or an animated WebP."""

from collections.abc import Sequence
from io import BytesIO
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from ..images import enlarge

MP4_SIDE = 512  # small pictures are enlarged to about this: H.264 halves the resolution of colours
CRF = 16  # x264's quality: 0 is lossless, 18 looks it


def film_bytes(images: Sequence[Image.Image], *, fps: int, kind: str) -> bytes:
    """Encode pictures of one size as a film of `kind` "mp4" or "webp", `fps` of them a second.

    An MP4 is H.264, small pictures enlarged by a whole factor without blur; a WebP is lossless, at its own
    size. Raise ValueError for no pictures, another kind or a rate below 1.
    """
    if not images:
        raise ValueError("images must hold at least one picture, got none")
    if fps < 1:
        raise ValueError(f"fps must be at least 1, got {fps}")
    if kind == "mp4":
        return _mp4(images, fps)
    if kind == "webp":
        return _webp(images, fps)
    raise ValueError(f"film must be mp4 or webp, got {kind!r}")


def _mp4(images: Sequence[Image.Image], fps: int) -> bytes:
    import av  # here: it loads FFmpeg

    factor = max(1, ceil(MP4_SIDE / max(images[0].size)))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"  # a file, since faststart moves the index to the front at last
        with av.open(path, "w", options={"movflags": "faststart"}) as container:
            video = container.add_stream("libx264", rate=fps, options={"crf": str(CRF)})
            video.width, video.height = (side * factor // 2 * 2 for side in images[0].size)
            video.pix_fmt = "yuv420p"  # what browsers play
            for image in images:
                pixels = np.asarray(enlarge(image.convert("RGB"), factor))[: video.height, : video.width]
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                container.mux(video.encode(frame))
            container.mux(video.encode())
        return path.read_bytes()


def _webp(images: Sequence[Image.Image], fps: int) -> bytes:
    stream = BytesIO()
    first, *others = (image.convert("RGB") for image in images)
    first.save(
        stream, "WEBP", save_all=True, append_images=others, duration=round(1000 / fps), loop=0, lossless=True
    )
    return stream.getvalue()
