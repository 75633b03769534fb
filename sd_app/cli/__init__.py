"""The studio on the command line: python -m sd_app txt2img "an orange cat" --seed 7 --output out.png.

One subcommand per request type; its flags are the request's own fields, so both always agree.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from ..expressions import ExpressionError
from ..failures import failure_text
from ..requests import (
    BlendRequest,
    Img2ImgRequest,
    InpaintRequest,
    InsideRequest,
    InterrogateRequest,
    PlaneRequest,
    Txt2ImgRequest,
    WalkRequest,
    make_request,
)
from ..settings import Settings
from ..studio import Studio
from . import arithmetic, history, hub, info, inside, interrogate
from .flags import SETTINGS, add_request_flags, add_settings_flags, given_settings
from .listing import list_addons, list_models, list_styles
from .making import make_pictures
from .progress import FAILED, INTERRUPTED, stop_on_ctrl_c

__all__ = ["REQUESTS", "SETTINGS", "main", "make_parser"]

SCRIPT = "glass-box"  # the command's name where the package is installed

REQUESTS: dict[str, tuple[type[Txt2ImgRequest], str]] = {
    "txt2img": (Txt2ImgRequest, "make pictures of a prompt"),
    "img2img": (Img2ImgRequest, "make pictures from a picture and a prompt"),
    "inpaint": (InpaintRequest, "repaint a part of a picture"),
    "blend": (BlendRequest, "make pictures of arithmetic with words"),
    "walk": (WalkRequest, "walk from one prompt to another, on one noise"),
    "plane": (PlaneRequest, "make a grid of pictures between and beside prompts, on one noise"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. Errors are one line on stderr."""
    parser = make_parser(os.environ)
    options = parser.parse_args(arguments)
    try:
        return run(Studio(make_request(Settings, given_settings(options))), options)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is one line
        text = failure_text(error)
        # An expression's error has a line more, which points at the character.
        message = text if isinstance(error, ExpressionError) else " ".join(text.split())
        print(f"{parser.prog} {options.command}: error: {message}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{parser.prog} {options.command}: stopped", file=sys.stderr)
        return INTERRUPTED


def run(studio: Studio, options: argparse.Namespace) -> int:
    """Run the command that the options name."""
    match options.command:
        case "models":
            return list_models(studio)
        case "addons":
            return list_addons(studio)
        case "styles":
            return list_styles(studio)
        case "tokens":
            return arithmetic.show_tokens(studio, options)
        case "interrogate":
            return interrogate.run(studio, options)
        case "inside":
            return inside.run(studio, options)
        case "history":
            return history.run(studio, options)
        case "info":
            return info.run(studio, options)
        case "download" | "remove":
            with stop_on_ctrl_c() as check:
                return hub.run(studio, options, check=check)
    return make_pictures(studio, options, REQUESTS[options.command][0])


def make_parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the parser. Settings take their default from SD_APP_<NAME>, as in app.py."""
    prog = SCRIPT if Path(sys.argv[0]).stem == SCRIPT else "python -m sd_app"
    parser = _Parser(prog=prog, description="A Stable Diffusion studio that opens the black box.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (request_type, summary) in REQUESTS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        add_request_flags(command, request_type)
        command.add_argument(
            "--output", "-o", type=Path, metavar="PATH",
            help="write to this .png file (several pictures: NAME-0.png ...) instead of the outputs folder",
        )  # fmt: skip
        command.add_argument(
            "--here", action="store_true",
            help="run it in this process, also while the app is open on the same outputs folder",
        )  # fmt: skip
        add_settings_flags(command, environ, skip=request_type)
    words = commands.add_parser("interrogate", help=interrogate.SUMMARY, description=interrogate.DESCRIPTION)
    add_request_flags(words, InterrogateRequest, interrogate.POSITIONAL)
    interrogate.add_output(words)
    add_settings_flags(words, environ)
    looking = commands.add_parser("inside", help=inside.SUMMARY, description=inside.DESCRIPTION)
    add_request_flags(looking, InsideRequest, inside.POSITIONAL)
    inside.add_output(looking)
    add_settings_flags(looking, environ)
    saved = commands.add_parser("history", help=history.SUMMARY, description=history.DESCRIPTION)
    history.add_commands(saved, environ)
    about = commands.add_parser("info", help=info.SUMMARY, description=info.DESCRIPTION)
    info.add_flags(about)
    add_settings_flags(about, environ)
    models = commands.add_parser("models", help="list the models", description="List the models.")
    add_settings_flags(models, environ)
    addons = commands.add_parser(
        "addons", help="list LoRAs, learned words and VAEs", description="List what can join a model."
    )
    add_settings_flags(addons, environ)
    styles = commands.add_parser("styles", help="list your styles", description="List your styles.")
    add_settings_flags(styles, environ)
    tokens = commands.add_parser("tokens", help="show how a prompt is read", description="List its tokens.")
    arithmetic.add_tokens_flags(tokens)
    add_settings_flags(tokens, environ)
    hub.add_commands(commands)
    return parser


class _Parser(argparse.ArgumentParser):
    """Say what is wrong in one line, without the whole usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"{self.prog}: error: {message}\n")
