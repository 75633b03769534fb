"""The story every job shares: resolve, load, then batch by batch encode, denoise, decode and save."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TypeVar

from PIL import Image

from ..addons import choose_additions
from ..catalog import find_model
from ..checkpoints.model_info import ModelInfo
from ..expressions.editing import readings
from ..expressions.remarks import remarks_on
from ..expressions.vocabulary import unseen_sentence
from ..probes.observers import LoopStart, Observers
from ..probes.recorder import Recorder
from ..probes.recording import Recording
from ..requests import Cancelled, DownloadProgress, Txt2ImgRequest
from ..settings import Settings
from ..speed import plan_calls
from ..text.unseen import find_unseen
from ..weights.loaders import download_snapshot
from ..weights.model_manager import ModelManager
from ..weights.pipeline import Pipeline
from ..weights.scheduling import weak_start
from .black_pictures import why_black
from .conditioning import is_guided, make_conditionings
from .denoise import denoise
from .drawing import groups, with_drawn_prompts
from .frames import Batch, DrawnFrames
from .job import Job, JobParts, OnStep
from .out_of_memory import run_batch
from .progress import ProgressObserver
from .resolve import remark_on_picture, resolve
from .starts import make_generators, steps_of, steps_run
from .vae import decode_pixels, to_images

NOTHING_REUSED = (
    "The deep blocks are run at every step: the prompt changes at each one, so nothing of the step"
    " before can be reused."
)

RequestT = TypeVar("RequestT", bound=Txt2ImgRequest)
Compose = Callable[[RequestT, ModelInfo], JobParts]  # of a resolved request


@dataclass(frozen=True, eq=False)
class RunOptions:
    """How a job is run, which changes no picture."""

    on_step: OnStep | None = None
    preview_every: int = 3  # steps from one preview to the next; 0 for none
    save: bool = True
    observers: Sequence[object] = ()
    # Is told of the recording of each finished picture: its latents and the U-Net's outputs.
    on_recorded: Callable[[Recording], None] | None = None


def run_job(manager: ModelManager, request: RequestT, compose: Compose[RequestT], options: RunOptions) -> Job:
    """Make the pictures of a request, settings.batch_size at a time; return the job with what is finished."""
    settings, on_step = manager.settings, options.on_step
    info = find_model(settings, request.model)
    remark = remark_on_picture(request, settings)
    resolved = resolve(request, info, settings)
    refuse_unwatchable(resolved, settings, Observers(options.observers))
    job = Job(
        request=resolved,
        info=info,
        parts=with_drawn_prompts(compose(resolved, info), resolved, settings),
        on_step=on_step,
        outputs_dir=settings.outputs_dir if options.save else None,
    )
    with job.saver, suppress(Cancelled):  # the result says that it was stopped
        if info.path is None:
            job.tell(f"Downloading {info.name}")
            download_snapshot(info.name, partial(tell_download, job) if on_step else None)
            info = job.info = find_model(settings, info.name)  # its size and defaults are known only now
            job.request = resolved = resolve(replace(request, seed=resolved.seed), info, settings)
            job.parts = with_drawn_prompts(compose(resolved, info), resolved, settings)
        if job.parts.nothing_to_do:
            return job
        preview_every = options.preview_every if on_step and info.latent_rgb else 0
        choose = partial(choose_additions, settings, info, vae=resolved.vae, previews=bool(preview_every))
        if isinstance(job.parts.frames, DrawnFrames):
            for prompt in dict.fromkeys(one.prompt for one in job.parts.frames.requests):
                choose(prompt=prompt)  # a LoRA that is not there is refused before the first picture
        for prompt, batches in groups(job.parts, resolved, settings.batch_size):
            with manager.pipeline(info.name, resolved.sampling, job.tell, choose(prompt=prompt)) as pipe:
                run_batches(manager, pipe, job, batches, options, preview_every, remark)
    return job


def run_batches(
    manager: ModelManager,
    pipe: Pipeline,
    job: Job,
    batches: Iterator[Batch],
    options: RunOptions,
    preview_every: int,
    remark: str,
) -> None:
    """Make the pictures of some batches with a loaded pipeline."""
    request = job.request_of(len(job.images))
    told = (
        *filter(None, [remark]),
        *pipe.remarks,
        *remarks_of(request, pipe.words.names),
        *unseen_of(request, manager.settings, job.info),
    )
    job.remarks = told if not job.images else tuple(dict.fromkeys((*job.remarks, *told)))
    fit_job(manager, pipe, job)
    progress = [ProgressObserver(job, pipe, preview_every)] if options.on_step else []
    recorder = [Recorder(on_recorded=options.on_recorded)] if options.on_recorded else []
    observers = Observers([*job.parts.observers, *options.observers, *recorder, *progress])
    draw = partial(draw_batch, pipe, job, observers)
    for first, count in batches:
        for images in run_batch(manager, pipe, job, draw, first, count):
            job.finish(images, observers)


def remarks_of(request: Txt2ImgRequest, known_words: Collection[str] | None = None) -> tuple[str, ...]:
    """Return what should be said of a resolved request's prompts, beside drawing them."""
    said = partial(remarks_on, steps=steps_of(request), steps_run=steps_run(request), known_words=known_words)
    reuse = [NOTHING_REUSED] if request.cache_interval > 1 and changes_at_each_step(request) else []
    return *said(request.prompt), *said(request.negative_prompt, negative=True), *reuse


def unseen_of(request: Txt2ImgRequest, settings: Settings, info: ModelInfo) -> tuple[str, ...]:
    """Return the sentence on the words of both prompts that the model never saw, if there are any."""
    find = partial(find_unseen, settings, info, steps=steps_of(request))
    words = dict.fromkeys(
        (*find(request.prompt), *find(request.negative_prompt, negative=True, beside=request.prompt))
    )
    return tuple(filter(None, [unseen_sentence(info.name, tuple(words))]))


def changes_at_each_step(request: Txt2ImgRequest) -> bool:
    """Tell whether no two steps that follow one another read the same texts."""
    steps = steps_of(request)
    prompts = readings(request.prompt, steps)
    negative = readings(request.negative_prompt, steps, "negative_prompt", joins=False)
    run = list(zip(prompts, negative, strict=True))[: steps_run(request)]
    return len(run) > 1 and all(before != after for before, after in pairwise(run))


def tell_download(job: Job, progress: DownloadProgress) -> None:
    """Tell how far the job's model is on its way here; Cancelled stops that too."""
    job.tell(f"Downloading {progress.hub_id}", download=progress)


def refuse_unwatchable(request: Txt2ImgRequest, settings: Settings, observers: Observers) -> None:
    """Refuse to show each part of the U-Net where running each part would make another picture."""
    if not observers.needs_every_part:
        return
    if request.cache_interval > 1:
        raise ValueError(
            f"cache_interval must be 1 to look inside the U-Net, got {request.cache_interval}: between its"
            " steps the deep blocks are not run (set it to 1, which makes another picture)"
        )
    if settings.compile:
        raise ValueError(
            "compile must be off to look inside the U-Net, since compiled code has no parts"
            " (start without --compile)"
        )


def fit_job(manager: ModelManager, pipe: Pipeline, job: Job) -> None:
    """Choose the plan by which the job fits into the memory, and say so if it is short."""
    width, height = job.request.width, job.request.height
    assert width is not None and height is not None  # noqa: PT018 - one thought
    together = min(manager.settings.batch_size, job.num_images)
    guided = is_guided(pipe, job.request_of(len(job.images)))
    job.plan = manager.fit(width=width, height=height, num_images=together, is_guided=guided)
    if job.plan.tight:
        job.tell(f"Short of memory: {job.plan.words}")


def draw_batch(pipe: Pipeline, job: Job, observers: Observers, first: int, count: int) -> list[Image.Image]:
    """Make pictures first..first+count-1: encode the prompts, begin, denoise, decode."""
    requests = tuple(job.request_of(first + offset) for offset in range(count))
    request, parts = requests[0], job.parts
    generators = make_generators(requests)
    steps = parts.prompts.encode(pipe, requests)  # what is read at each
    start = parts.start.begin(pipe, request, generators)
    if len(start.timesteps) == len(pipe.scheduler.timesteps) and (weak := weak_start(pipe.scheduler)):
        job.remark(weak)
    channels = parts.kept.channels(pipe, count) if parts.kept else None
    conditionings = make_conditionings(pipe, request, steps, channels)
    plan = plan_calls(
        request, steps_run(request), order=pipe.scheduler.order, is_guided=is_guided(pipe, request)
    )
    begun = LoopStart(
        first=first,
        requests=requests,
        scheduler=pipe.scheduler,
        timesteps=start.timesteps,
        latents=start.latents,
        noise=start.noise,
        prompt_embeds=steps[0].positive,
        negative_prompt_embeds=steps[0].negative if conditionings[0].is_guided else None,
        prompts=steps,
        original=start.original,
        mask=parts.kept.latent_mask if parts.kept else None,
        model=job.info,
        pipe=pipe,
    )
    observers.tell("before_loop", begun)
    with ExitStack() as stack:
        if observers.needs_every_part:
            stack.enter_context(pipe.fast_unet.bypass())
        stack.enter_context(observers.listening(pipe.unet))
        unet = stack.enter_context(pipe.fast_unet.running(plan, conditionings, job.tell, parts.known))
        latents = denoise(
            unet,
            pipe.scheduler,
            start.latents,
            start.timesteps,
            prompts=steps,
            guidance_scale=request.guidance_scale or 0.0,
            generators=generators,
            put_back=parts.kept.putting_back(pipe, start) if parts.kept else None,
            observers=observers,
        )
    pixels = decode_pixels(pipe, latents)
    if sentence := why_black(pipe, steps, start, latents, pixels):
        job.remark(sentence)
    images = to_images(pipe, pixels)
    observers.tell("after_decoding", latents, images)
    return images
