"""The blocks of a GIF (GIF89a specification, 1990)."""

from typing import BinaryIO

MAX_BESIDE = 4_000_000  # bytes of comments and other extensions in front of a frame
MAX_BLOCKS = 2_000_000  # of data that are looked at to count frames: 500 MB of full ones
_EXTENSION, _FRAME = b"!", b","


def check_gif(file: BinaryIO, most: int) -> int:
    """Count the frames of a GIF, at most so many. Raise ValueError for a comment that is too long."""
    file.seek(10)
    _skip_colors(file, file.read(1))
    file.seek(2, 1)
    frames, beside, blocks = 0, 0, MAX_BLOCKS
    while frames < most and blocks > 0:
        kind = file.read(1)
        if kind == _EXTENSION:
            file.seek(1, 1)
            size, count = _skip_blocks(file, min(blocks, MAX_BESIDE))
            beside += size + count
            if beside > MAX_BESIDE:
                raise ValueError(
                    f"must have at most {MAX_BESIDE // 10**6} MB beside its frames (save it again without"
                    " its comments)"
                )
        elif kind == _FRAME:
            frames, beside = frames + 1, 0
            file.seek(8, 1)
            _skip_colors(file, file.read(1))
            file.seek(1, 1)
            _, count = _skip_blocks(file, blocks)
        else:
            break
        blocks -= count
    return max(frames, 1)


def _skip_colors(file: BinaryIO, flags: bytes) -> None:
    """Skip a table of colours, if the flags say that there is one."""
    if flags and flags[0] & 0x80:
        file.seek(3 << ((flags[0] & 7) + 1), 1)


def _skip_blocks(file: BinaryIO, most: int) -> tuple[int, int]:
    """Skip blocks of data to the empty one, at most so many; return their bytes and their number."""
    size = count = 0
    while count < most and (length := file.read(1)) and length[0]:
        file.seek(length[0], 1)
        size, count = size + length[0], count + 1
    return size, count
