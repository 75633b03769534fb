"""On a Hugging Face Space the GPU is lent for one call at a time: `spaces.GPU` around the run."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ..metadata import read_infotext
from ..requests import MAX_NUM_IMAGES, MAX_SEED, Cancelled, Step, Txt2ImgRequest, Txt2ImgResult
from .jobs import Line, stream

Txt2Img = Callable[[Txt2ImgRequest, Callable[[Step], None]], Txt2ImgResult]

TOLD = (ValueError, MemoryError, OSError)  # errors that the studio words for the person


def borrow_gpu(studio: Any) -> Txt2Img:
    """Return studio.txt2img, on a Space wrapped so that it runs while a GPU is lent."""
    if studio.settings.mode != "space":
        return studio.txt2img
    try:
        import spaces
    except ImportError:
        return studio.txt2img

    # The call runs in a forked process: only what is yielded comes back, and an error only by its class.
    @spaces.GPU
    def events(request: Txt2ImgRequest) -> Iterator[Any]:
        try:
            yield from stream(Line(), "space", partial(studio.txt2img, request))
        except TOLD as error:
            yield error

    return partial(_collect, events)


def _collect(
    events: Callable[[Txt2ImgRequest], Any], request: Txt2ImgRequest, on_step: Callable[[Step], None]
) -> Txt2ImgResult:
    """Turn the events of a lent GPU back into a call. Closing the generator stops the run over there."""
    if request.seed is None:
        request = replace(request, seed=random.randint(0, MAX_SEED - MAX_NUM_IMAGES))
    last: Step | None = None
    run = events(request)
    try:
        for event in run:
            if isinstance(event, Txt2ImgResult):
                return event
            if isinstance(event, Exception):
                raise event
            if isinstance(event, Step):
                last = event
                on_step(event)
    except Cancelled:
        pass
    finally:
        run.close()
    return _stopped(request, last)


def _stopped(request: Txt2ImgRequest, last: Step | None) -> Txt2ImgResult:
    """Return what was finished when the run was stopped."""
    images, paths = (last.images, last.paths) if last else ((), ())
    assert request.seed is not None
    return Txt2ImgResult(
        images=images,
        seeds=tuple(request.seed + k for k in range(len(images))),
        request=request,
        seconds=last.seconds if last else 0.0,
        paths=paths,
        infotexts=tuple(read_infotext(path) or "" for path in paths),
        stopped=True,
    )
