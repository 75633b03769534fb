"""The only owner of device, dtype, lock and loaded weights.

One job at a time is on the models. All jobs of one checkpoint share its parts; a checkpoint that has to make
room is really gone. What is no checkpoint, a CLIP say, is kept beside them by the same rules.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar, cast

import torch
from transformers import CLIPTokenizer

from ..addons import NO_ADDITIONS, Additions
from ..catalog import find_model
from ..checkpoints.model_info import ModelInfo
from ..failures import is_out_of_memory
from ..requests import Status
from ..settings import Settings
from ..speed import make_fast_unet
from .applied_addons import AppliedAddons
from .caches import forget
from .checkpoint import Checkpoint
from .components import Components
from .device_memory import (
    LARGE_BYTES,
    OUT_OF_MEMORY,
    HeapTrimmer,
    choose_budget,
    choose_dtype,
    collect_memory,
    demand_of,
    free_bytes,
    lies_on,
    limit_arenas,
    networks_in,
    size_of,
    try_twice,
)
from .devices import choose_device, computing_on, describe, is_lent_elsewhere
from .loaders import download_snapshot, load_components, load_tokenizer
from .memory_plan import FRUGAL, Plan, choose_plan
from .offloading import offload, remove_hooks, take_back
from .pipeline import Pipeline
from .scheduling import make_scheduler

T = TypeVar("T")

WAIT_SECONDS = 0.2  # how often a waiting job looks whether it was cancelled

Event = Callable[[str], None]  # is told "Waiting" or "Loading NAME"; may raise Cancelled
Load = Callable[[torch.device, torch.dtype], T]  # puts a model, or what holds one, on the device


class Get(Protocol):
    """Return the model of that name, loading it if it is not there."""

    def __call__(self, name: str, load: Load[T]) -> T: ...


class ModelManager:
    """Load, keep and lend models. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        limit_arenas()
        self.settings = settings
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.dtype, self.device)  # of all but large models
        self.budget_bytes = choose_budget(settings.cache_gigabytes, self.device)
        self._checkpoints: OrderedDict[str, Checkpoint] = OrderedDict()  # the latest used is the last
        self._tokenizers: dict[str, CLIPTokenizer] = {}
        self._lock = threading.Lock()
        self._tokenizer_lock = threading.Lock()
        self._owner: int | None = None  # the thread that holds the lock
        self._lent: tuple[Checkpoint, Pipeline] | None = None  # what that thread has
        self._plan: Plan | None = None  # how the last job ran
        self._dtype_in_use = self.dtype  # of the pipeline lent last
        self._heap = HeapTrimmer()

    @contextmanager
    def pipeline(
        self,
        model: str,
        scheduler: str,
        on_event: Event | None = None,
        additions: Additions = NO_ADDITIONS,
    ) -> Iterator[Pipeline]:
        """Lend the parts of a model with a scheduler of its own and these additions, to one job at a time.

        While another job runs, on_event("Waiting") is called now and then. Raise ValueError for an unknown
        model or scheduler or an addition that does not fit, OSError when files cannot be read, MemoryError
        when the weights or what the job does with them do not fit into the memory.
        """
        tell = on_event or _tell_nobody
        with self._exclusive(tell):
            checkpoint = self._checkpoint(model, tell)
            pipe = self._assemble(checkpoint, scheduler)
            self._lent, self._dtype_in_use = (checkpoint, pipe), pipe.unet.dtype
            try:
                with ExitStack() as stack:
                    self._apply(stack, checkpoint, pipe, additions, tell)
                    if checkpoint.offloads:
                        offload(pipe.networks, self.device)
                    yield pipe
            finally:
                self._lent = None
                if checkpoint.offloads:
                    take_back([*pipe.networks, *checkpoint.networks])

    @contextmanager
    def lend(self, on_event: Event | None = None) -> Iterator[Get]:
        """Lend models that are no pipelines to one job at a time: yields get(name, load).

        Getting another one may drop the one before, so hold none longer than it is needed. Tells as pipeline
        does. get raises MemoryError when the weights do not fit, and what load raises.
        """
        tell = on_event or _tell_nobody

        def get(name: str, load: Load[T]) -> T:
            return cast("T", self._keep(name, 0, lambda: self._load_other(name, load), tell).lent)

        with self._exclusive(tell):
            yield get

    def tokenizer(self, model: str) -> CLIPTokenizer:
        """Return a model's tokenizer without its weights; does not wait for a running job."""
        with self._tokenizer_lock:
            if model not in self._tokenizers:
                self._tokenizers[model] = load_tokenizer(find_model(self.settings, model))
            return self._tokenizers[model]

    def warm_up(self) -> None:
        """Fetch the default model, with a bar in the terminal; load it, if what computes it is here."""
        info = find_model(self.settings, None)
        if info.path is None:
            download_snapshot(info.name)  # while others may work
            info = find_model(self.settings, info.name)
        if is_lent_elsewhere() and info.size_bytes > LARGE_BYTES:
            return
        with self.pipeline(info.name, info.default_scheduler):
            pass

    def unload(self, name: str | None = None, on_event: Event | None = None) -> None:
        """Drop one model, or all of them, once the running job is over; tells as pipeline does."""
        with self._exclusive(on_event or _tell_nobody):
            self._drop([name] if name else list(self._checkpoints))

    def fit(self, *, width: int, height: int, num_images: int, is_guided: bool = True) -> Plan:
        """Choose by the memory now free how the lent pipeline runs a job, and place its parts accordingly.

        num_images are to be denoised together, if they fit. CUDA graphs, then models that are not in use make
        room before the job turns frugal. Only for the job that holds a pipeline.
        """
        checkpoint, pipe = self._in_use()
        components: Components = {**checkpoint.components, "vae": pipe.vae}  # perhaps not its own
        choose = partial(self._choose_plan, components, width, height, num_images)
        rows, side = num_images * (1 + is_guided), pipe.vae_scale_factor
        plan = choose(is_recorded=pipe.fast_unet.is_recorded(rows, height // side, width // side))
        if plan.tight and pipe.fast_unet.give_up():
            collect_memory()
            plan = choose()
        while plan.tight and (others := self._others_on_device(checkpoint)):
            self._drop(others[:1])
            plan = choose()
        try:
            self._place(checkpoint, plan)
        except OUT_OF_MEMORY as error:
            if not is_out_of_memory(error):
                raise
        else:
            return plan
        return self.turn_frugal()

    def turn_frugal(self) -> Plan:
        """Drop all that the job does without, and have the lent pipeline run as frugally as can be.

        That is other models, cached results, CUDA graphs, and VAEs and decoders of other jobs. The plan is
        the last one. Only for the job that holds a pipeline.
        """
        checkpoint, pipe = self._in_use()
        if checkpoint.fast_unet:
            checkpoint.fast_unet.give_up()
        forget(*checkpoint.all_networks)
        if checkpoint.addons:
            checkpoint.addons.trim(pipe)
        self._drop([name for name in self._checkpoints if name != checkpoint.name])
        plan = replace(FRUGAL, offloads=self._can_offload, last=True)
        checkpoint.offloads = None  # memory may have run out while a part moved: each is placed anew
        self._place(checkpoint, plan)
        return plan

    def drop_others(self) -> None:
        """Drop every model but the one used last. Only for the job that holds the models."""
        assert self._owner == threading.get_ident()
        self._drop(list(self._checkpoints)[:-1])

    def status(self) -> Status:
        """Tell device, memory and loaded models, without waiting."""
        name, used, total = describe(self.device, self.settings.device)
        checkpoints = tuple(self._checkpoints.values())
        return Status(
            device=str(self.device),
            device_name=name,
            dtype=str(self._dtype_in_use).removeprefix("torch."),
            memory_used=used,
            memory_total=total,
            loaded=tuple(checkpoint.name for checkpoint in checkpoints),
            loaded_bytes=tuple(checkpoint.size_bytes for checkpoint in checkpoints),
            plan=self._plan_in_words(checkpoints),
        )

    def _plan_in_words(self, checkpoints: tuple[Checkpoint, ...]) -> str:
        """Say how the last job ran, and what that lacked."""
        if not self._plan or not checkpoints:
            return ""
        fast_unets = [checkpoint.fast_unet for checkpoint in checkpoints if checkpoint.fast_unet]
        limits = [fast_unet.limits for fast_unet in fast_unets[-1:] if fast_unet.limits]
        return ", ".join([self._plan.words, *limits])

    @contextmanager
    def _exclusive(self, tell: Event) -> Iterator[None]:
        if self._owner == threading.get_ident():
            raise RuntimeError("a job cannot start another one on the models (wait until it has returned)")
        while not self._lock.acquire(timeout=WAIT_SECONDS):
            tell("Waiting")
        self._owner = threading.get_ident()
        try:
            with computing_on(self.device, self.dtype):
                yield
        except OUT_OF_MEMORY as error:
            if isinstance(error, MemoryError) or not is_out_of_memory(error):
                raise
            raise MemoryError(self._does_not_fit("the job", "shorten the prompt")) from error
        finally:
            self._heap.trim()
            self._owner = None
            self._lock.release()

    def _checkpoint(self, model: str, tell: Event) -> Checkpoint:
        if model in self._checkpoints:
            self._checkpoints.move_to_end(model)
            return self._checkpoints[model]
        info = find_model(self.settings, model)
        return self._keep(model, info.size_bytes, lambda: self._load_once(info), tell)

    def _keep(self, name: str, size_bytes: int, load: Callable[[], Checkpoint], tell: Event) -> Checkpoint:
        """Return the model of that name as the latest used one, loading it if it is not there."""
        if name not in self._checkpoints:
            tell(f"Loading {name}")
            self._make_room(size_bytes)
            self._checkpoints[name] = self._load(name, load)
            self._make_room(0)  # a load can turn out larger than its files
        self._checkpoints.move_to_end(name)
        return self._checkpoints[name]

    def _load(self, name: str, load: Callable[[], Checkpoint]) -> Checkpoint:
        words = self._does_not_fit(name, "choose a smaller model")
        return try_twice(load, lambda: self._drop(list(self._checkpoints)), words)

    def _apply(
        self, stack: ExitStack, checkpoint: Checkpoint, pipe: Pipeline, additions: Additions, tell: Event
    ) -> None:
        """Have the lent pipeline use additions until the stack closes."""
        assert checkpoint.addons is not None
        addons, names = checkpoint.addons, additions.names
        what = f"{checkpoint.name} with {', '.join(names)}" if names else checkpoint.name
        advice = f"leave out {' or '.join(names)}" if names else "choose a smaller model"
        try_twice(
            lambda: stack.enter_context(addons.applied(pipe, additions, tell)),
            self.turn_frugal,
            self._does_not_fit(what, advice),
        )

    def _does_not_fit(self, what: str, advice: str) -> str:
        """Return the words for what is too large even when all else is dropped."""
        helps = self._can_offload and not self.settings.lowvram
        lowvram = "start with --lowvram, " if helps else ""
        remedy = f"close other programs, {lowvram}or {advice}"
        return f"{what} does not fit into the memory of {self.device} ({remedy})"

    def _load_once(self, info: ModelInfo) -> Checkpoint:
        dtype = choose_dtype(self.settings.dtype, self.device, size_bytes=info.size_bytes)
        components, scheduler_config = load_components(info, dtype)
        checkpoint = Checkpoint(name=info.name, components=components, scheduler_config=scheduler_config)
        self._place(checkpoint, self._choose_plan(components, info.native_size, info.native_size, 1))
        if self.settings.channels_last:
            for part in (components["unet"], components["vae"]):
                part.to(memory_format=torch.channels_last)
        checkpoint.fast_unet = make_fast_unet(components["unet"], self.settings, self.device, info.family)
        checkpoint.addons = AppliedAddons(components)
        return checkpoint

    def _load_other(self, name: str, load: Load[T]) -> Checkpoint:
        return Checkpoint(name=name, lent=load(self.device, self.dtype))

    def _assemble(self, checkpoint: Checkpoint, scheduler: str) -> Pipeline:
        """Put a checkpoint's parts together for one job, with a scheduler of its own."""
        assert checkpoint.fast_unet is not None
        return Pipeline(
            **checkpoint.components,
            scheduler=make_scheduler(scheduler, checkpoint.scheduler_config),
            fast_unet=checkpoint.fast_unet,
            device=self.device,
            offloads=bool(checkpoint.offloads),
        )

    @property
    def _can_offload(self) -> bool:
        """Tell whether the device has a memory of its own, so that parts can wait outside it."""
        return self.device.type == "cuda"

    def _choose_plan(
        self,
        components: Components,
        width: int,
        height: int,
        num_images: int,
        *,
        is_recorded: bool = False,
    ) -> Plan:
        networks = [network for part in components.values() for network in networks_in(part)]
        weights = [size_of(network) for network in networks]
        # Weights that lie on the device are no longer free, and need no more room.
        there = sum(
            size for size, network in zip(weights, networks, strict=True) if lies_on(network, self.device)
        )
        return choose_plan(
            free_bytes=free_bytes(self.device) + there,
            weights=weights,
            demand=demand_of(components, self.device),
            width=width,
            height=height,
            num_images=num_images,
            is_recorded=is_recorded,
            can_offload=self._can_offload,
            tile_above=self.settings.tile_above,
            lowvram=self.settings.lowvram,
        )

    def _others_on_device(self, checkpoint: Checkpoint) -> list[str]:
        """Return the other models that take room on the device, the one unused for longest first."""
        return [
            name
            for name, other in self._checkpoints.items()
            if other is not checkpoint
            and any(lies_on(network, self.device) for network in other.all_networks)
        ]

    def _place(self, checkpoint: Checkpoint, plan: Plan) -> None:
        """Put a checkpoint's parts where a plan wants them."""
        self._plan = plan
        if checkpoint.offloads == plan.offloads:
            return
        pipe = self._lent[1] if self._lent and self._lent[0] is checkpoint else None
        networks = list({*checkpoint.networks, *(pipe.networks if pipe else [])})
        remove_hooks(networks)
        checkpoint.offloads = True if plan.offloads else None  # None: until all of it is there
        for network in networks:  # the own VAE too, while another one is used
            network.to("cpu" if plan.offloads else self.device)
        checkpoint.offloads = plan.offloads
        if pipe:
            pipe.offloads = plan.offloads
            if plan.offloads:
                offload(pipe.networks, self.device)

    def _in_use(self) -> tuple[Checkpoint, Pipeline]:
        assert self._owner == threading.get_ident()
        assert self._lent is not None
        return self._lent

    def _make_room(self, size_bytes: int) -> None:
        """Drop the models unused for longest until size_bytes more fit; the one in use stays."""
        in_use = 1 if size_bytes == 0 else 0
        sizes = {name: checkpoint.size_bytes for name, checkpoint in self._checkpoints.items()}
        names = []
        for name in list(sizes)[: len(sizes) - in_use]:
            if sum(sizes.values()) + size_bytes <= self.budget_bytes:
                break
            del sizes[name]
            names.append(name)
        if names:
            self._drop(names)

    def _drop(self, names: list[str]) -> None:
        for name in names:
            checkpoint = self._checkpoints.pop(name, None)
            if checkpoint and checkpoint.offloads:
                remove_hooks(checkpoint.networks)
            if checkpoint and checkpoint.fast_unet:
                checkpoint.fast_unet.drop()
        checkpoint = None  # the last reference to the weights
        collect_memory()


def _tell_nobody(_: str) -> None:
    return None
