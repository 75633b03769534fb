"""The commands that make pictures: run the request, name every file."""

import argparse
import sys
from functools import partial
from pathlib import Path

from .. import metadata
from ..requests import InpaintResult, Txt2ImgRequest, Txt2ImgResult, make_request
from ..settings import is_path
from ..studio import Studio
from . import arithmetic, joining
from .flags import given_fields
from .progress import INTERRUPTED, progress_bar, stop_on_ctrl_c
from .running import run_as_job


def make_pictures(studio: Studio, options: argparse.Namespace, request_type: type[Txt2ImgRequest]) -> int:
    """Run the request the options hold; print the path of every finished picture."""
    given = given_fields(options, request_type)
    if is_path(str(given.get("model", ""))):  # the settings hold it; a request names models, never paths
        del given["model"]
    request = make_request(request_type, given)
    num_pictures = request.num_pictures
    paths = output_paths(options.output, num_pictures)
    app = None if options.here or paths else joining.find_app(studio.settings, given)
    if app is not None and (call := joining.connect(app)) is not None:
        outputs_dir = studio.settings.outputs_dir
        return joining.make_there(call, app, options.command, request_type, given, outputs_dir)
    with progress_bar() as show, stop_on_ctrl_c() as check:
        make = partial(getattr(studio, options.command), preview_every=0, save=not paths)
        result: Txt2ImgResult = run_as_job(make, request, show=show, check=check)
    for image, infotext, path in zip(result.images, result.infotexts, paths, strict=False):
        metadata.write_png(image, infotext, path)
    if isinstance(result, InpaintResult):
        write_companions(result, paths)
    if result.notice:
        print(result.notice, file=sys.stderr)
    for path in (paths or result.paths)[: len(result.images)]:
        print(path)
    for path in arithmetic.write_frames_companions(result, paths):
        print(path)
    arithmetic.tell_jump(result)
    if result.stopped:
        print(f"stopped: kept {len(result.images)} of {num_pictures}", file=sys.stderr)
        return INTERRUPTED
    return 0


def write_companions(result: InpaintResult, paths: tuple[Path, ...]) -> None:
    """Write the raw pictures and the round trip beside the pictures."""
    for raw, infotext, path in zip(result.raw_images, result.infotexts, paths, strict=False):
        assert result.roundtrip_image is not None
        metadata.write_png(raw, infotext, path.with_stem(f"{path.stem}-raw"))
        metadata.write_png(result.roundtrip_image, infotext, path.with_stem(f"{path.stem}-roundtrip"))


def output_paths(output: Path | None, num_images: int) -> tuple[Path, ...]:
    """Return a path per picture, none without --output. Raise ValueError before any work is done."""
    if output is None:
        return ()
    if output.suffix.lower() != ".png":
        raise ValueError(f"output must end in .png, got {output.name} (try {output.stem or 'out'}.png)")
    if not output.parent.is_dir():
        raise ValueError(f"output must lie in a folder that exists, got {output.parent} (make it first)")
    if num_images == 1:
        return (output,)
    return tuple(output.with_stem(f"{output.stem}-{index}") for index in range(num_images))
