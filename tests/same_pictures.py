"""Draw many requests of every kind and keep what came out, to prove that a refactoring changed no picture.

    python tests/same_pictures.py --output before.json [--package-root DIR] [--only TEXT]
    python tests/same_pictures.py --compare before.json after.json

The first form writes, for each request, hashes of all pictures and numbers of its result, and its infotexts
without the version. The second prints what differs and exits with 1 if anything does. Both files must come
from the same machine: rounding differs between processors. Only public names of sd_app are used, so the
script stays as it is while the package is rebuilt; --package-root names the checkout to draw with.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

    from sd_app import Step, Studio
    from tests.same_pictures_cases import Case

Digest = dict[str, Any]

OWN_ROOT = Path(__file__).resolve().parent.parent
VERSION = re.compile(r",? ?Version: [^,\n]*")
PICTURES = ("images", "input_image", "raw_images", "roundtrip_image", "start_images", "noised_start")


def main() -> int:
    """Draw or compare; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="the file to write")
    parser.add_argument("--package-root", type=Path, default=OWN_ROOT, help="the folder that holds sd_app")
    parser.add_argument("--only", default="", help="draw only requests whose name holds this text")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("BEFORE", "AFTER"))
    options = parser.parse_args()
    if options.compare:
        return compare(*options.compare)
    if options.output is None:
        parser.error("--output or --compare must be given")
    started = time.perf_counter()
    prepare(options.package_root.resolve())
    digests = draw_all(options.only)
    options.output.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
    print(f"{len(digests) - 1} requests in {time.perf_counter() - started:.0f} s: {options.output}")
    return 0


def compare(before_path: Path, after_path: Path) -> int:
    """Print what differs between two files; return 1 if anything does, or if there is nothing to compare."""
    before, after = (
        dict(flatten(json.loads(path.read_text(encoding="utf-8")))) for path in (before_path, after_path)
    )
    names = dict.fromkeys([*before, *after])
    different = [name for name in names if before.get(name, "missing") != after.get(name, "missing")]
    for name in different:
        print(f"{name}: {before.get(name, 'missing')!r} -> {after.get(name, 'missing')!r}")
    print(f"{len(different)} of {len(names)} values differ")
    return 1 if different or not names else 0


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all plain values of nested objects and lists with the way to each, and how long each list is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(inner, f"{name} / {key}" if name else key)
    elif isinstance(value, list):
        yield f"{name} (length)", len(value)
        for index, inner in enumerate(value):
            yield from flatten(inner, f"{name}[{index}]")
    else:
        yield name, value


def prepare(package_root: Path) -> None:
    """Make sd_app importable from a folder and everything that may vary on one machine fixed."""
    if not (package_root / "sd_app" / "__init__.py").is_file():
        raise SystemExit(f"--package-root must be a folder that holds sd_app, got {package_root}")
    sys.path[:] = [str(package_root), str(OWN_ROOT), *sys.path[1:]]  # instead of this script's own folder
    # What a developer has downloaded is none of this script's business.
    os.environ |= {"HF_HUB_CACHE": "/nowhere/hub", "HF_HOME": "/nowhere", "HF_HUB_OFFLINE": "1"}
    import torch
    from diffusers.utils import logging
    from transformers.utils import logging as transformers_logging

    torch.set_num_threads(1)  # with several threads sums could be added up in another order
    logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()

    import sd_app

    if Path(sd_app.__file__).resolve().parent != package_root / "sd_app":
        raise SystemExit(f"sd_app must come from {package_root}, got {sd_app.__file__}")


def draw_all(only: str) -> dict[str, Digest]:
    """Draw the requests whose names hold a text; return their digests by name, first that of the weights."""
    from sd_app import Settings
    from tests.same_pictures_cases import SETTINGS, make_cases, make_studios
    from tests.same_pictures_models import fingerprints, make_models

    with tempfile.TemporaryDirectory(prefix="same-pictures-") as name:
        folder = Path(name)
        make_models(folder / "models", Settings().models_dir / "tiny-sd" / "tokenizer")
        studios = make_studios(folder)
        digests: dict[str, Digest] = {"(the weights)": dict(fingerprints(folder / "models"))}
        for case in make_cases(studios[next(iter(SETTINGS))].schedulers()):
            if case.name in digests:
                raise ValueError(f"a request's name must be its own, got {case.name} twice")
            if only in case.name:
                digests[case.name] = draw(case, studios[case.studio])
    return digests


def draw(case: "Case", studio: "Studio") -> Digest:
    """Draw one request; return hashes of everything it gave."""
    from sd_app import Cancelled

    previews: list[str] = []

    def on_step(step: "Step") -> None:
        if step.preview is not None:
            previews.append(f"step {step.step}, picture {step.image_index}: {picture_hash(step.preview)}")
        if case.stop_after is not None and len(step.images) >= case.stop_after:
            raise Cancelled

    watch = on_step if case.preview_every or case.stop_after else None
    try:
        make = getattr(studio, type(case.request).__name__.removesuffix("Request").lower())
        result = make(case.request, watch, preview_every=case.preview_every, save=case.save)
        digest = digest_of(result)
    except Exception as error:
        error.add_note(f"while drawing: {case.name}")
        raise
    if any(low == high for image in result.images for low, high in [image.convert("L").getextrema()]):
        raise ValueError(f"{case.name} must not be of one colour: that proves nothing")
    if bool(previews) != bool(case.preview_every):
        raise ValueError(f"{case.name} must show previews if it asks for them, got {len(previews)}")
    if previews:
        digest["previews"] = previews
    if case.save:
        digest["files"] = dict(saved_files(studio.settings.outputs_dir))
        shutil.rmtree(studio.settings.outputs_dir)  # so that the next one's numbers begin anew
    return digest


def digest_of(result: Any) -> Digest:
    """Return hashes of all pictures, tensors and measurements of a result, and its texts."""
    digest: Digest = {
        "seeds": list(result.seeds),
        "infotexts": [VERSION.sub("", t) for t in result.infotexts],
    }
    for name in PICTURES:
        value = getattr(result, name, None)
        if value is not None:
            digest[name] = list(map(picture_hash, value)) if isinstance(value, tuple) else picture_hash(value)
    for name in ("stopped", "notice", "prompts", "ts"):
        if value := getattr(result, name, None):
            digest[name] = list(value) if isinstance(value, tuple) else value
    if drifts := getattr(result, "drifts", ()):
        digest["drifts"] = [drift_digest(drift) for drift in drifts]
    if (encoding := getattr(result, "encoding", None)) is not None:
        digest["encoding"] = {name: array_hash(getattr(encoding, name)) for name in ("embeds", "empty")}
    if near := getattr(result, "near", ()):
        digest["near"] = [[str(sorted(vars(word).items())) for word in row] for row in near]
    if (divergence := getattr(result, "divergence", None)) is not None:
        digest["divergence"] = array_hash(divergence.distances)
        digest["kinds"] = list(divergence.kinds)
        digest["strip"] = picture_hash(result.strip())
    if hasattr(result, "grid"):
        digest["grid"] = picture_hash(result.grid())
    if (jump := getattr(result, "jump", None)) is not None:
        digest["jump"] = {
            **{side: picture_hash(getattr(jump, side)) for side in ("left", "right")},
            **{name: str(getattr(jump, name)) for name in ("t_left", "t_right", "history", "kind")},
            "distances": array_hash(jump.distances),
        }
    return digest


def drift_digest(drift: Any) -> Digest:
    """Return what inpainting's report measured, and hashes of its heat maps."""
    measured = {
        name: str(sorted(vars(getattr(drift, name)).items())) for name in ("raw", "composite", "roundtrip")
    }
    seams = {name: getattr(drift, name) for name in ("seam_input", "seam_before", "seam_after")}
    heats = {name: picture_hash(getattr(drift, name)) for name in ("raw_heat", "composite_heat")}
    return measured | seams | heats


def saved_files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and content of each file of a day's folder; of a PNG pixels and infotext count."""
    from PIL import Image

    for path in sorted(folder.glob("*/*")):
        if path.suffix == ".png":
            with Image.open(path) as image:
                text = VERSION.sub("", str(image.info.get("parameters", "")))
                yield path.name, f"{picture_hash(image)} {text}"
        else:
            yield path.name, hashlib.sha256(path.read_bytes()).hexdigest()


def picture_hash(image: "Image.Image") -> str:
    """Return the hash of a picture's mode, size and pixels."""
    return hashlib.sha256(f"{image.mode} {image.size} ".encode() + image.tobytes()).hexdigest()


def array_hash(array: Any) -> str:
    """Return the hash of a NumPy array's type, shape and numbers."""
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
