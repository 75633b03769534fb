"""On a Hugging Face Space with a ZeroGPU the card is lent for one call at a time, to a process of its own.

What needs no GPU (lists, tokens, numbers of a prompt, all jobs of the embedded models) is done here, on
the processor. Everything else goes through one function, decorated once: each decorated function keeps a
process of its own alive, with weights of its own.
"""

import logging
import os
import random
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import nan
from typing import Any, cast

from ...checkpoints.model_info import ModelInfo
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
from .gpu_seconds import GpuSeconds, booking
from .streaming import stream
from .studio_protocol import OnStep, PageStudio
from .toasts import library_text

Request = Txt2ImgRequest | InterrogateRequest
Events = Callable[..., Generator[object, None, None]]

MAKING: dict[str, type[Txt2ImgResult]] = {
    "txt2img": Txt2ImgResult,
    "img2img": Img2ImgResult,
    "inpaint": InpaintResult,
    "blend": BlendResult,
    "walk": WalkResult,
    "plane": PlaneResult,
}
TELLING: dict[str, type[Txt2ImgResult | InterrogateResult]] = {**MAKING, "interrogate": InterrogateResult}
QUIET = ("match", "score_phrases", "compare_pictures")  # jobs that tell nothing on their way
EMBEDDED = ("tiny-sd", "tiny-clip", "tiny-blip")  # small enough for the processor

TOLD = (ValueError, MemoryError, OSError)  # errors that the studio words for the person

log = logging.getLogger(__name__)


def lend_gpu(studio: PageStudio) -> PageStudio:
    """Return the studio as the page and the API shall call it: on a ZeroGPU Space large jobs borrow the card.

    Call it once, before the page is launched: `spaces` reports to the Space then.
    """
    if studio.settings.mode != "space":
        return studio
    try:
        import spaces
        from spaces.config import Config
    except ImportError:
        if os.environ.get("SPACES_ZERO_GPU"):
            log.warning("No GPU can be asked for: the package `spaces` is not installed.")
        return studio
    return cast("PageStudio", SpaceStudio(studio, spaces.GPU)) if Config.zero_gpu else studio


class SpaceStudio:
    """A studio whose large jobs run in the process that is lent a GPU; all else is the studio's own."""

    def __init__(self, studio: PageStudio, lend: Callable[..., Any]) -> None:
        self._studio = studio
        self._over_there: PageStudio | None = None
        self._seconds = GpuSeconds()
        self._events: Events = lend(self._run, duration=self._duration)
        for name in TELLING:
            setattr(self, name, partial(self._tell, name))
        for name in QUIET:
            setattr(self, name, partial(self._call, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._studio, name)

    # -- over there, in the process that holds the GPU

    def _run(self, name: str, args: tuple[object, ...]) -> Iterator[object]:
        """Run one job. Only what is yielded comes back, and an error that is raised only by its class."""
        if self._over_there is None:
            # The process began as a copy of this one, whose locks may be held by threads it has not.
            make: Callable[[object], PageStudio] = type(self._studio)
            self._over_there = make(self._studio.settings)
        method = getattr(self._over_there, name)
        run = partial(method, *args) if name in TELLING else lambda on_step: method(*args)
        try:
            yield from stream(run)
        except TOLD as error:
            yield error

    # -- here

    def _duration(self, name: str, args: tuple[object, ...]) -> int:
        """Return the seconds to ask for; `spaces` calls it with what it is about to run."""
        return booking(self._estimate(name, args))

    def _estimate(self, name: str, args: tuple[object, ...]) -> float:
        if isinstance(request := args[0], Txt2ImgRequest):
            return self._seconds.making(request, self._model(request))
        return self._seconds.other(name, _kind(name, args))

    def _learn(self, name: str, args: tuple[object, ...], last: Step | None, seconds: float) -> None:
        if isinstance(request := args[0], Txt2ImgRequest):
            self._seconds.made(request, self._model(request), last, seconds)
        else:
            self._seconds.took(_kind(name, args), seconds)

    def _model(self, request: Txt2ImgRequest) -> ModelInfo:
        """Return the model of a request. Raise ValueError for one that is not here, or not yet."""
        models = self._studio.models()
        for model in models:
            if request.model in (None, model.name):
                if model.path is None:
                    raise ValueError(f"model {model.name} is still being fetched (try again in some minutes)")
                return model
        names = ", ".join(model.name for model in models)
        raise ValueError(f"model must be one of {names}, got {str(request.model)[:60]}")

    def _needs_gpu(self, name: str, args: tuple[object, ...]) -> bool:
        if isinstance(request := args[0], Txt2ImgRequest):
            return self._model(request).name not in EMBEDDED
        return any(model not in EMBEDDED for model in _models_of(name, args) if model is not None)

    def _tell(self, name: str, request: Request, on_step: OnStep | None = None) -> Any:
        on_step = on_step or (lambda step: None)
        if not self._needs_gpu(name, (request,)):
            return getattr(self._studio, name)(request, on_step)
        if isinstance(request, Txt2ImgRequest):
            # What `spaces` says meanwhile it says in a corner of the page only.
            on_step(_asking(self._duration(name, (request,))))
        return self._collect(name, request, on_step)

    def _call(self, name: str, *args: object) -> Any:
        if not self._needs_gpu(name, args):
            return getattr(self._studio, name)(*args)
        started: float | None = None
        for event in self._lent(name, args):
            started = started or time.monotonic()
            if isinstance(event, Exception):
                raise event
            if event is not None:
                self._learn(name, args, None, time.monotonic() - started)
                return event
        raise ValueError("the job was stopped (send it again)")

    def _lent(self, name: str, args: tuple[object, ...]) -> Generator[object, None, None]:
        """Yield the events of a job over there. What `spaces` says of a loan that failed becomes words."""
        # A process that begins while a library is half imported here would wait for that for ever.
        with suppress(*TOLD):
            self._studio.tokens("", EMBEDDED[0])
        try:
            yield from self._events(name, args)
        except Exception as error:
            text = library_text(error)
            if text is None:
                raise
            raise ValueError(_not_lent(text)) from error

    def _collect(self, name: str, request: Request, on_step: OnStep) -> Txt2ImgResult | InterrogateResult:
        """Turn the events of a lent GPU back into a call. Closing the generator stops the run over there."""
        if isinstance(request, Txt2ImgRequest) and request.seed is None:
            request = replace(request, seed=random.randint(0, MAX_RANDOM_SEED - MAX_NUM_IMAGES))
        last: Step | None = None
        started: float | None = None
        run = self._lent(name, (request,))
        try:
            for event in run:
                started = started or time.monotonic()
                if isinstance(event, Txt2ImgResult | InterrogateResult):
                    if not event.stopped:
                        self._learn(name, (request,), last, time.monotonic() - started)
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
        return _stopped(MAKING[name], request, last)


def _models_of(name: str, args: tuple[object, ...]) -> tuple[str | None, ...]:
    """Return the CLIP and the caption model that a job names; None is the embedded one."""
    match name, args:
        case "interrogate", (InterrogateRequest() as request,):
            return request.clip_model, request.caption_model if request.caption is None else None
        case "compare_pictures", (_, _, clip_model):
            return (cast("str | None", clip_model),)
    return (getattr(args[0], "clip_model", None),)


def _kind(name: str, args: tuple[object, ...]) -> str:
    """Return what tells a job from those that take another time."""
    return " ".join(map(str, (name, getattr(args[0], "mode", ""), *_models_of(name, args))))


def _not_lent(text: str) -> str:
    """Return the words for what `spaces` says of a loan that failed."""
    if text.isidentifier():  # the class of an error over there, whose traceback is in the log
        return f"the job failed ({text}); the owner can find the reason in the log"
    what = "was taken back before the job was done" if "aborted" in text else f"is not lent now: {text}"
    return (
        f"the GPU {what.rstrip('. ')} (a job with fewer pictures or steps needs it for less time, and the"
        " model tiny-sd needs none)"
    )


def _asking(seconds: int) -> Step:
    text = f"Asking for a GPU for {seconds} s"
    return Step(step=0, num_steps=1, image_index=0, num_images=1, seconds=0.0, text=text)


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
