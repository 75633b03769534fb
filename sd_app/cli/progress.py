"""How a job shows itself on a terminal, how Ctrl+C stops it, and how commands end."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ..requests import Cancelled, Step

FAILED, INTERRUPTED = 2, 130  # exit codes

Show = Callable[[Step], None]  # draws the progress bar
Check = Callable[[], None]  # raises Cancelled once Ctrl+C was pressed


@contextmanager
def progress_bar() -> Iterator[Show]:
    """Show the whole job as one bar on stderr; yield what moves it."""
    from tqdm import tqdm  # here, so that --help stays quick

    layout = "{desc} {percentage:3.0f}%|{bar}|{postfix}"
    # disable=None: no bar where stderr is no terminal but a log
    with tqdm(total=1.0, bar_format=layout, desc="Starting", file=sys.stderr, disable=None) as bar:

        def show(step: Step) -> None:
            bar.set_description_str(step.text, refresh=False)
            bar.set_postfix_str(_amounts(step), refresh=False)
            bar.n = step.fraction
            bar.refresh()

        try:
            yield show
        except BaseException:
            bar.leave = False  # the error alone is left to read
            raise


def _amounts(step: Step) -> str:
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
def stop_on_ctrl_c() -> Iterator[Check]:
    """Turn the first Ctrl+C into Cancelled at the next step; a second one ends the program in seconds."""
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
