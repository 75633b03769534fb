"""The studio on the command line: python -m sd_app txt2img "an orange cat" --seed 7 --output out.png.

One subcommand per request type; its flags are the request's own fields, so both always agree.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from types import FrameType, NoneType
from typing import Any, NoReturn, get_args, get_origin, get_type_hints

from .. import metadata
from ..expressions import ExpressionError
from ..requests import (
    BlendRequest,
    Cancelled,
    Img2ImgRequest,
    InpaintRequest,
    InpaintResult,
    InterrogateRequest,
    PlaneRequest,
    Step,
    Txt2ImgRequest,
    Txt2ImgResult,
    WalkRequest,
    parse_seed,
)
from ..settings import Settings, is_path
from ..studio import Studio
from . import arithmetic, hub, interrogate

FAILED, INTERRUPTED = 2, 130  # exit codes
SCRIPT = "glass-box"  # the command's name where the package is installed

REQUESTS: dict[str, tuple[type[Txt2ImgRequest], str]] = {
    "txt2img": (Txt2ImgRequest, "make pictures of a prompt"),
    "img2img": (Img2ImgRequest, "make pictures from a picture and a prompt"),
    "inpaint": (InpaintRequest, "repaint a part of a picture"),
    "blend": (BlendRequest, "make pictures of arithmetic with words"),
    "walk": (WalkRequest, "walk from one prompt to another, on one noise"),
    "plane": (PlaneRequest, "make a grid of pictures between and beside prompts, on one noise"),
}

HELP = arithmetic.HELP | {
    "prompt": "what the picture shows; (word:1.2) stresses, [word] weakens, {cat + 0.4*dog} computes",
    "negative_prompt": "what it should not show",
    "model": "a name that `python -m sd_app models` lists, owner/name of the hub, or a path",
    "scheduler": 'the sampler, for instance "DPM++ 2M Karras"',
    "num_inference_steps": "denoising steps",
    "guidance_scale": "how strictly to follow the prompt, 0..30",
    "seed": "picture k has seed + k; -1 or left out: random",
    "width": "in pixels, a multiple of 8",
    "height": "in pixels, a multiple of 8",
    "num_images": "how many pictures",
    "guidance_end": "share of the steps, 0..1, after which guidance stops: faster, another picture",
    "cache_interval": "run the U-Net's deep blocks every N steps only: faster, another picture",
    "vae": "a file or folder of models/vae/, by name, in place of the model's own VAE",
    "clip_skip": "1 takes the text encoder's last layer, 2 the one before",
    "init_image": "the picture to start from",
    "strength": "share of the steps that is run, 0..1: how much is made anew",
    "mask_image": "picture of the same size: white is repainted; may be left out with --outpaint",
    "feather": "pixels over which the new part fades in, inwards",
    "masked_content": "what the new part starts from: original, fill or noise",
    "only_masked": "work on the masked area alone, as large as the model can",
    "padding": "pixels around the masked area that the model sees with --only-masked",
    "invert_mask": "repaint black instead of white",
    "soft_mask": "grey changes less than white",
    "color_match": "shift the new part's colours towards those around it",
    "blend": "how the new part is joined: none, poisson or pyramid",
    "outpaint": "pixels to add at the left, top, right and bottom",
    "resize_mode": "how the picture is brought to width and height: crop (not for inpaint), pad or stretch",
    "models_dir": "folder of models",
    "outputs_dir": "folder for finished pictures, when --output is not given",
    "device": "auto, cpu, cuda, cuda:N or mps",
    "dtype": "auto, float16, bfloat16 or float32",
    "lowvram": "move each part to the GPU only when it is needed",
    "cuda_graphs": "replay the U-Net's work on CUDA: the same picture, faster (default: on)",
    "channels_last": "keep convolutions' weights in that order of memory: may be faster on CUDA",
    "compile": "torch.compile the U-Net: the first picture takes a while, later ones less; another rounding",
    "tile_above": "pixels above which the VAE works in tiles; by default when memory is short",
    **interrogate.HELP,
}
ALIASES = {
    "negative_prompt": ("--negative",),
    "num_inference_steps": ("--steps",),
    "guidance_scale": ("--cfg",),
    "num_images": ("-n",),
    "output": ("-o",),
}
WITHOUT_DEFAULT = ("seed", "mask_image", "outpaint", "ts", *interrogate.WITHOUT_DEFAULT)
POSITIONAL: dict[str, dict[str, Any]] = {
    "image": {"nargs": "+", "type": Path, "metavar": "PICTURE"},
}
SPEED = ("cuda_graphs", "channels_last", "compile")
SETTINGS = ("model", "models_dir", "outputs_dir", "device", "dtype", "lowvram", "tile_above", *SPEED)
TRUE = ("1", "true", "yes", "on")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. Errors are one line on stderr."""
    parser = make_parser(os.environ)
    options = parser.parse_args(arguments)
    try:
        settings = Settings(**_given(vars(options), SETTINGS))
        if options.command == "models":
            return list_models(Studio(settings))
        if options.command in ("download", "remove"):
            with _stop_on_ctrl_c() as check:
                return hub.run(Studio(settings), options, check=check)
        if options.command == "addons":
            return list_addons(Studio(settings))
        if options.command == "tokens":
            return arithmetic.show_tokens(Studio(settings), options)
        if options.command == "interrogate":
            given = _given(vars(options), _names(InterrogateRequest))
            with _progress_bar() as show, _stop_on_ctrl_c() as check:
                return interrogate.run(Studio(settings), options, given, show=show, check=check)
        return make_pictures(Studio(settings), options)
    except (ValueError, OSError, MemoryError) as error:
        # An expression's error has a line more, which points at the character.
        message = str(error) if isinstance(error, ExpressionError) else " ".join(str(error).split())
        message = message or type(error).__name__
        print(f"{parser.prog} {options.command}: error: {message}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{parser.prog} {options.command}: stopped", file=sys.stderr)
        return INTERRUPTED


def make_parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the parser. Settings take their default from SD_APP_<NAME>, as in app.py."""
    prog = SCRIPT if Path(sys.argv[0]).stem == SCRIPT else "python -m sd_app"
    parser = _Parser(prog=prog, description="A Stable Diffusion studio that opens the black box.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (request_type, summary) in REQUESTS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        _add_request_flags(command, request_type)
        command.add_argument(
            "--output", *ALIASES["output"], type=Path, metavar="PATH",
            help="write to this .png file (several pictures: NAME-0.png ...) instead of the outputs folder",
        )  # fmt: skip
        _add_settings_flags(command, environ, skip=_names(request_type))
    words = commands.add_parser("interrogate", help=interrogate.SUMMARY, description=interrogate.DESCRIPTION)
    _add_request_flags(words, InterrogateRequest)
    interrogate.add_output(words)
    _add_settings_flags(words, environ)
    models = commands.add_parser("models", help="list the models", description="List the models.")
    _add_settings_flags(models, environ)
    addons = commands.add_parser(
        "addons", help="list LoRAs, learned words and VAEs", description="List what can join a model."
    )
    _add_settings_flags(addons, environ)
    tokens = commands.add_parser("tokens", help="show how a prompt is read", description="List its tokens.")
    arithmetic.add_tokens_flags(tokens)
    _add_settings_flags(tokens, environ)
    hub.add_commands(commands)
    return parser


def make_pictures(studio: Studio, options: argparse.Namespace) -> int:
    """Run the request the options hold; print the path of every finished picture."""
    request_type, _ = REQUESTS[options.command]
    given = _given(vars(options), _names(request_type))
    if is_path(given.get("model", "")):  # the settings hold it; a request names models, never paths
        del given["model"]
    request = request_type(**given)
    num_pictures = request.num_pictures
    paths = _output_paths(options.output, num_pictures)
    with _progress_bar() as show, _stop_on_ctrl_c() as check:

        def on_step(step: Step) -> None:
            show(step)
            check()

        run = getattr(studio, options.command)
        result: Txt2ImgResult = run(request, on_step=on_step, preview_every=0, save=not paths)
    for image, infotext, path in zip(result.images, result.infotexts, paths, strict=False):
        metadata.write_png(image, infotext, path)
    if isinstance(result, InpaintResult):
        write_companions(result, paths)
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
    """Write the raw pictures and the round trip beside the pictures; say what the user should know."""
    for raw, infotext, path in zip(result.raw_images, result.infotexts, paths, strict=False):
        assert result.roundtrip_image is not None
        metadata.write_png(raw, infotext, path.with_stem(f"{path.stem}-raw"))
        metadata.write_png(result.roundtrip_image, infotext, path.with_stem(f"{path.stem}-roundtrip"))
    if result.notice:
        print(result.notice, file=sys.stderr)


def list_models(studio: Studio) -> int:
    """Print one model a line, with the defaults of a request that leaves them out."""
    heads = ("NAME", "SIZE", "STEPS", "GUIDANCE", "SCHEDULER", "TITLE")
    rows = [
        (
            info.name,
            f"{info.native_size}x{info.native_size}",
            str(info.default_steps),
            f"{info.default_guidance_scale:g}",
            info.default_scheduler,
            info.title,
        )
        for info in studio.models()
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def list_addons(studio: Studio) -> int:
    """Print what a prompt can ask for, as it is written there, with what its file says; then the VAEs."""
    addons, vaes = studio.addons(), studio.vaes()
    if not addons and not vaes:
        folder = studio.settings.models_dir
        print(
            f"There are none. Put .safetensors files into {folder / 'loras'} (LoRAs), {folder / 'embeddings'}"
            f" (learned words) or {folder / 'vae'} (VAEs)."
        )
    for addon in addons:
        facts = studio.describe_addon(addon.text)
        about = [f"{facts.title}: {facts.reason}" if facts.reason else facts.title, *facts.trigger_words]
        print(f"{addon.text}  {', '.join(about)}")
    for name in vaes:
        print(f"--vae {name}")
    return 0


class _Parser(argparse.ArgumentParser):
    """Say what is wrong in one line, without the whole usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"{self.prog}: error: {message}\n")


@dataclass(kw_only=True)
class _Flag:
    """A field of a request or of the settings as argparse takes it."""

    names: tuple[str, ...]
    options: dict[str, Any]


def _flag(name: str, hint: Any) -> _Flag:
    """Describe the flag of a field. What is not given stays None: the dataclass knows the default."""
    options: dict[str, Any] = {"dest": name, "default": None, "help": HELP[name]}
    if name == "seed":
        options |= {"type": _seed, "metavar": "SEED"}
    elif get_origin(hint) is tuple and get_args(hint)[-1] is ...:
        options |= {"type": get_args(hint)[0], "nargs": "+", "metavar": "X"}
    elif name == "groups":
        options |= {"nargs": "+", "metavar": "NAME"}
    elif get_origin(hint) is tuple:
        options |= {"type": int, "nargs": 4, "metavar": ("LEFT", "TOP", "RIGHT", "BOTTOM")}
    elif Path in get_args(hint):
        options |= {"type": Path, "metavar": "PATH"}
    elif hint is bool:
        options["action"] = argparse.BooleanOptionalAction
    else:
        kind = next(kind for kind in (*get_args(hint), hint) if kind is not NoneType)
        options |= {"type": kind, "metavar": {str: "TEXT", int: "N", float: "X", Path: "PATH"}[kind]}
    return _Flag(names=(f"--{name.replace('_', '-')}", *ALIASES.get(name, ())), options=options)


def _add_request_flags(parser: argparse.ArgumentParser, request_type: type) -> None:
    """Add a flag per field. A text without a default is positional, and so are the pictures to interrogate;
    another picture without a default must be given.
    """
    hints = get_type_hints(request_type)
    for field in fields(request_type):
        if field.name in POSITIONAL or (hints[field.name] is str and field.default is MISSING):
            parser.add_argument(field.name, help=HELP[field.name], **POSITIONAL.get(field.name, {}))
            continue
        flag = _flag(field.name, hints[field.name])
        flag.options["required"] = field.default is MISSING
        flag.options["help"] += _default_text(field)
        parser.add_argument(*flag.names, **flag.options)


def _add_settings_flags(
    parser: argparse.ArgumentParser, environ: Mapping[str, str], skip: tuple[str, ...] = ()
) -> None:
    hints = get_type_hints(Settings)
    for name in SETTINGS:
        variable = f"SD_APP_{name.upper()}"
        text = environ.get(variable) or None
        default = text.lower() in TRUE if text and hints[name] is bool else text
        if name in skip:  # the request has a flag of this name already: give it the owner's default
            parser.set_defaults(**{name: default})
            continue
        flag = _flag(name, hints[name])
        flag.options |= {"default": default, "help": f"{flag.options['help']} [{variable}]"}
        parser.add_argument(*flag.names, **flag.options)


def _default_text(field: Field[Any]) -> str:
    if field.name in WITHOUT_DEFAULT or field.default in ("", MISSING, False):
        return ""
    if field.name == "model":
        return f" (default: {Settings.model}) [SD_APP_MODEL]"
    default = "the model's own" if field.default is None else field.default
    return f" (default: {default})"


def _seed(text: str) -> int | None:
    try:
        return parse_seed(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _names(request_type: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(request_type))


def _given(options: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: options[name] for name in names if options.get(name) is not None}


def _output_paths(output: Path | None, num_images: int) -> tuple[Path, ...]:
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


@contextmanager
def _progress_bar() -> Iterator[Callable[[Step], None]]:
    """Show the whole job as one bar on stderr; yield what moves it."""
    from tqdm import tqdm  # here, so that --help stays quick

    layout = "{desc} {percentage:3.0f}%|{bar}|{postfix}"
    # disable=None: no bar where stderr is no terminal but a log
    with tqdm(total=1.0, bar_format=layout, desc="Starting", file=sys.stderr, disable=None) as bar:

        def show(step: Step) -> None:
            bar.set_description_str(step.text, refresh=False)
            bar.set_postfix_str(_numbers(step), refresh=False)
            bar.n = step.fraction
            bar.refresh()

        try:
            yield show
        except BaseException:
            bar.leave = False  # the error alone is left to read
            raise


def _numbers(step: Step) -> str:
    if step.download:
        eta = step.download.eta_seconds
        return f" {step.download.amount}" + ("" if eta is None else f", {eta:.0f} s left")
    if not step.step:
        return ""
    text = f" {step.step}/{step.num_steps}"
    if step.num_images > 1:
        text += f", picture {step.image_index + 1} of {step.num_images}"
    if step.steps_per_second is not None and step.eta_seconds is not None:
        text += f", {step.steps_per_second:.1f} it/s, {step.eta_seconds:.0f} s left"
    return text


@contextmanager
def _stop_on_ctrl_c() -> Iterator[Callable[[], None]]:
    """Turn the first Ctrl+C into Cancelled at the next step; a second one ends the program at once."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def check() -> None:
        if asked.is_set():
            raise Cancelled

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
