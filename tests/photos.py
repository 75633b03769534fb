"""Pictures as phones take them, made quickly; and the memory that a job needs for one, beside its model's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def take_photo(path: Path, width: int, height: int, *, orientation: int = 1) -> Path:
    """Write a JPEG as the sensor saw it, width x height, with noise in it and the camera's orientation."""
    rows = np.linspace(0, 255, height, dtype=np.float32)[:, None]
    columns = np.linspace(0, 255, width, dtype=np.float32)[None]
    noise = np.random.default_rng(0).integers(0, 64, (256, 256), dtype=np.uint8)
    grain = np.tile(noise, (height // 256 + 1, width // 256 + 1))[:height, :width]
    red = (rows * 0.7 + grain).astype(np.uint8)
    red = np.broadcast_to(red, (height, width))
    green = (columns * 0.7 + grain).astype(np.uint8)
    image = Image.merge("RGB", [Image.fromarray(one) for one in (np.ascontiguousarray(red), green, grain)])
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image.save(path, quality=90, exif=exif)
    return path


def peak_megabytes(code: str, *arguments: object) -> float:
    """Run code in a process of its own; return by how much its second half raises the peak, in MB.

    The code calls `base()` once where what counts begins.
    """
    text = f"""
import resource, sys
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = 0.0
def base():
    global before
    before = peak()
{code}
print("PEAK", peak() - before)
"""
    root = Path(__file__).parents[1]
    given = [sys.executable, "-c", text, *map(str, arguments)]
    done = subprocess.run(given, capture_output=True, text=True, check=False, cwd=root, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return float(done.stdout.split("PEAK")[-1])
