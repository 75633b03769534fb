"""On a Hugging Face Space the GPU is lent for one call at a time: `spaces.GPU` around the run."""

import random
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from math import nan
from typing import Any

from ...metadata import read_infotext
from ...requests import (
    MAX_NUM_IMAGES,
    MAX_RANDOM_SEED,
    ArithmeticRequest,
    BlendResult,
    Cancelled,
    Img2ImgResult,
    InpaintResult,
    InterrogateRequest,
    InterrogateResult,
    InterrogateStep,
    PlaneRequest,
    PlaneResult,
    Step,
    Txt2ImgRequest,
    Txt2ImgResult,
    WalkRequest,
    WalkResult,
)
from .streaming import stream
from .studio_protocol import OnStep, PageStudio

Request = Txt2ImgRequest | InterrogateRequest

# Whose types the names of the studio's methods decide: (request, on_step) -> result, and plain calls.
Make = Callable[[Any, OnStep], Any]
Call = Callable[..., Any]

RESULTS: dict[str, type[Txt2ImgResult | InterrogateResult]] = {
    "txt2img": Txt2ImgResult,
    "img2img": Img2ImgResult,
    "inpaint": InpaintResult,
    "blend": BlendResult,
    "walk": WalkResult,
    "plane": PlaneResult,
    "interrogate": InterrogateResult,
}

TOLD = (ValueError, MemoryError, OSError)  # errors that the studio words for the person


def borrow_gpu(studio: PageStudio, name: str) -> Make:
    """Return the studio's method of that name, on a Space wrapped so that it runs while a GPU is lent."""
    make: Make = getattr(studio, name)
    if studio.settings.mode != "space":
        return make
    try:
        import spaces
    except ImportError:
        return make

    # The call runs in a forked process: only what is yielded comes back, and an error only by its class.
    @spaces.GPU
    def events(request: Request) -> Iterator[object]:
        try:
            yield from stream(partial(make, request))
        except TOLD as error:
            yield error

    return partial(_collect, events, RESULTS[name])


def borrow_call(studio: PageStudio, name: str) -> Call:
    """Do as borrow_gpu for a method that is quick and tells nothing on its way."""
    call: Call = getattr(studio, name)
    if studio.settings.mode != "space":
        return call
    try:
        import spaces
    except ImportError:
        return call

    @spaces.GPU
    def told(*args: object, **known: object) -> object:
        try:
            return call(*args, **known)
        except TOLD as error:
            return error

    def lent(*args: object, **known: object) -> object:
        # Nothing comes back from over there on the way, and what would be told to cannot be sent.
        answer = told(*args, **{name: value for name, value in known.items() if name != "on_step"})
        if isinstance(answer, Exception):
            raise answer
        return answer

    return lent


def _collect(
    events: Callable[[Request], Generator[object, None, None]],
    result_type: type[Txt2ImgResult | InterrogateResult],
    request: Request,
    on_step: OnStep,
) -> Txt2ImgResult | InterrogateResult:
    """Turn the events of a lent GPU back into a call. Closing the generator stops the run over there."""
    if isinstance(request, Txt2ImgRequest) and request.seed is None:
        request = replace(request, seed=random.randint(0, MAX_RANDOM_SEED - MAX_NUM_IMAGES))
    last: Step | None = None
    run = events(request)
    try:
        for event in run:
            if isinstance(event, result_type):
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
    if isinstance(request, InterrogateRequest):
        assert last is None or isinstance(last, InterrogateStep)
        return _stopped_words(request, last)
    assert issubclass(result_type, Txt2ImgResult)
    return _stopped(result_type, request, last)


def _stopped(result_type: type[Txt2ImgResult], request: Txt2ImgRequest, last: Step | None) -> Txt2ImgResult:
    """Return what was finished when the run was stopped."""
    images, paths = (last.images, last.paths) if last else ((), ())
    assert request.seed is not None
    one_noise = isinstance(request, ArithmeticRequest)
    return result_type(
        images=images,
        seeds=tuple(request.seed + (0 if one_noise else k) for k in range(len(images))),
        request=request,
        seconds=last.seconds if last else 0.0,
        paths=paths,
        infotexts=tuple(read_infotext(path) or "" for path in paths),
        stopped=True,
        **_frames(request, len(images)),
    )


def _stopped_words(request: InterrogateRequest, last: InterrogateStep | None) -> InterrogateResult:
    """Return the best prompt so far; what its words are worth was not worked out."""
    return InterrogateResult(
        prompt=last.prompt if last else "",
        similarity=nan if last is None or last.cosine is None else last.cosine,
        percentile=nan,
        chance=nan,
        caption=last.caption if last else "",
        caption_similarity=last.caption_similarity if last else None,
        steps=last.accepted if last else (),
        groups=(),
        dimensions=0,
        request=request,
        clip_model=request.clip_model or "",
        seconds=last.seconds if last else 0.0,
        stopped=True,
    )


def _frames(request: Txt2ImgRequest, count: int) -> dict[str, Any]:
    """Return what a result with frames says of the first `count` of them."""
    if isinstance(request, PlaneRequest):
        return {"prompts": request.prompts[:count], "columns": request.columns}
    if isinstance(request, WalkRequest):
        ts = request.places[:count]
        return {"ts": ts, "prompts": tuple(map(request.frame_prompt, ts))}
    return {}
