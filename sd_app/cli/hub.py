"""Models of the hub on the command line: what one would fetch, fetch it, delete it."""

import argparse
import sys
from collections.abc import Callable
from typing import TypeVar

from ..requests import Cancelled, DownloadPlan, format_bytes
from ..studio import Studio
from .progress import INTERRUPTED

ParserT = TypeVar("ParserT", bound=argparse.ArgumentParser)


def add_commands(commands: "argparse._SubParsersAction[ParserT]") -> None:
    """Add `download` and `remove`."""
    download = commands.add_parser(
        "download",
        help="add a model of the Hugging Face hub",
        description="Say what it would fetch, then fetch it. What has come is kept when it is stopped.",
    )
    download.add_argument(
        "hub_id", metavar="OWNER/NAME", nargs="?", help="left out: list models to start with"
    )
    download.add_argument("--plan", action="store_true", help="only say what it would fetch")
    remove = commands.add_parser(
        "remove", help="delete a model of the hub from this disk", description="Delete a downloaded model."
    )
    remove.add_argument("hub_id", metavar="OWNER/NAME")


def run(studio: Studio, options: argparse.Namespace, *, check: Callable[[], None]) -> int:
    """Run `download` or `remove`; return the exit code."""
    if options.command == "remove":
        print(f"{format_bytes(studio.remove_download(options.hub_id))} freed")
        return 0
    if options.hub_id is None:
        for model in studio.curated_models():
            print(f"{model.hub_id}  {model.title}: {model.line}")
        return 0
    plan = studio.plan_download(options.hub_id)
    print("\n".join(plan_lines(plan)))
    if options.plan:
        return 0
    try:
        studio.download(plan, lambda progress: check(), bar=True)
    except Cancelled:
        print("stopped: what was downloaded is kept; the same command continues from there", file=sys.stderr)
        return INTERRUPTED
    print(f"{plan.hub_id} is here: use it with --model {plan.hub_id}")
    return 0


def plan_lines(plan: DownloadPlan) -> list[str]:
    """Say what a plan would fetch."""
    side = plan.native_size
    there = plan.total_bytes - plan.missing_bytes
    amount = f"{format_bytes(plan.missing_bytes)} to fetch" + (
        f", {format_bytes(there)} here" if there else ""
    )
    terms = f"license: {plan.license or 'not stated'}" + (
        ", its terms must be accepted" if plan.gated else ""
    )
    return [
        f"{plan.hub_id}: {plan.pipeline}, {side}x{side}",
        f"{amount}, {format_bytes(plan.free_bytes)} free in {plan.folder.parent}",
        terms,
    ]
