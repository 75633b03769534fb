"""Flags made of fields: a request's own, which say all of themselves, and the owner's settings."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict, cast, get_args, get_origin, get_type_hints

from ..requests import SIDES, RequestField, Txt2ImgRequest, kind_of, request_fields
from ..settings import Settings

SPEED = ("cuda_graphs", "channels_last", "compile")
SETTINGS = (
    "model",
    "models_dir",
    "outputs_dir",
    "prompts_dir",
    "device",
    "dtype",
    "lowvram",
    "tile_above",
    *SPEED,
)
SETTINGS_HELP = {
    "model": request_fields(Txt2ImgRequest)["model"].help,
    "models_dir": "folder of models",
    "outputs_dir": "folder for finished pictures, when --output is not given",
    "prompts_dir": "folder with your wildcards/ and styles.csv (default: the folder of models)",
    "device": "auto, cpu, cuda, cuda:N or mps",
    "dtype": "auto, float16, bfloat16 or float32",
    "lowvram": "move each part to the GPU only when it is needed",
    "cuda_graphs": "replay the U-Net's work on CUDA: the same picture, faster (default: on)",
    "channels_last": "store convolution weights in channels-last order: may be faster on CUDA",
    "compile": "torch.compile the U-Net: the first picture takes a while, later ones less; another rounding",
    "tile_above": "pixels above which the VAE works in tiles; by default when memory is short",
}
TRUE = ("1", "true", "yes", "on")
METAVARS: dict[object, str] = {str: "TEXT", int: "N", float: "X", Path: "PATH"}


class FlagOptions(TypedDict, total=False):
    """What argparse takes of a flag. What is not given stays None: the dataclass knows the default."""

    action: type[argparse.Action]
    dest: str
    default: object
    help: str
    type: Callable[[str], object]
    metavar: str | tuple[str, ...]
    nargs: int | str
    required: bool


def add_request_flags(
    parser: argparse.ArgumentParser, request_type: type, positional: Mapping[str, FlagOptions] | None = None
) -> None:
    """Add a flag per field. A text that must be given is positional, and so is what `positional` names."""
    for name, known in request_fields(request_type).items():
        special = (positional or {}).get(name)
        if special is not None or (known.is_words and known.is_required):
            own: FlagOptions = special or {}
            parser.add_argument(name, **own | {"help": known.help})
            continue
        options = _flag(name, known.hint, _help(known))
        options["required"] = known.is_required
        if known.parse:
            options |= {"type": _reader(known.parse), "metavar": name.upper()}
        parser.add_argument(*_names(name), *known.flags, **options)


def add_settings_flags(
    parser: argparse.ArgumentParser, environ: Mapping[str, str], skip: type | None = None
) -> None:
    """Add a flag per setting. Of one that is a field of the request `skip` too, give its flag the default."""
    hints = get_type_hints(Settings)
    skipped = request_fields(skip) if skip else {}
    for name in SETTINGS:
        variable = f"SD_APP_{name.upper()}"
        text = environ.get(variable) or None
        default = text.lower() in TRUE if text and hints[name] is bool else text
        if name in skipped:  # the request has a flag of this name already: give it the owner's default
            parser.set_defaults(**{name: default})
            continue
        options = _flag(name, hints[name], f"{SETTINGS_HELP[name]} [{variable}]")
        parser.add_argument(*_names(name), **options | {"default": default})


def given_fields(options: argparse.Namespace, request_type: type) -> dict[str, object]:
    """Return what was given of a request's fields, by name."""
    return _given(options, tuple(request_fields(request_type)))


def given_settings(options: argparse.Namespace) -> dict[str, object]:
    """Return what was given of the settings, by name."""
    return _given(options, SETTINGS)


def _given(options: argparse.Namespace, names: tuple[str, ...]) -> dict[str, object]:
    values: dict[str, object] = vars(options)
    return {name: values[name] for name in names if values.get(name) is not None}


def _names(name: str) -> tuple[str, ...]:
    return (f"--{name.replace('_', '-')}",)


def _flag(name: str, hint: object, help_text: str) -> FlagOptions:
    """Describe the flag of a field with this annotation."""
    options: FlagOptions = {"dest": name, "default": None, "help": help_text}
    kind = kind_of(hint)
    if hint is bool:
        return {**options, "action": argparse.BooleanOptionalAction}
    if get_origin(kind) is tuple:
        item, *rest = get_args(kind)
        if rest == [...]:
            return {
                **options,
                "type": item,
                "nargs": "+",
                "metavar": "NAME" if item is str else METAVARS[item],
            }
        return {**options, "type": item, "nargs": len(SIDES), "metavar": tuple(map(str.upper, SIDES))}
    if Path in get_args(hint):
        kind = Path
    return {**options, "type": cast(Callable[[str], object], kind), "metavar": METAVARS[kind]}


def _help(known: RequestField) -> str:
    """Return a field's help with its choices, its range and its default, as far as it does not say them."""
    text, notes = known.help, []
    if known.choices and not all(name in text for name in known.names):
        *names, last = known.names
        text += f": {', '.join(names)} or {last}"
    if known.kind is float:
        notes.append(f"{known.bound('low'):g} to {known.bound('high'):g}")
    if default := _default(known):
        notes.append(f"default: {default}")
    notes = [note for note in notes if note not in text]
    text += f" ({', '.join(notes)})" if notes else ""
    return f"{text} [SD_APP_MODEL]" if known.name == "model" else text


def _default(known: RequestField) -> str:
    if known.name == "model":
        return Settings.model
    if known.default is None:
        return known.unset
    if known.is_required or known.default is False or isinstance(known.default, tuple):
        return ""
    return str(known.default)


def _reader(parse: Callable[[object], object]) -> Callable[[str], object]:
    """Return what reads a flag's text; what is wrong with it is told as argparse tells it."""

    def read(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read
