"""The observer that records a run: for each picture what is needed to look at it again without the model."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import diffusers
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor

from ..checkpoints.model_info import ModelInfo
from ..requests import TokenTable
from ..requests.text import PADDING, TEXT
from ..text import prompts
from ..text.prompt_embeds import WINDOW, PromptEmbeds
from ..weights.scheduling import keeps_variance, noise_over_signal
from .attention import AttentionWatcher, TextMaps, modules_of
from .features import FeatureWatcher, blocks_of
from .levels import AttentionModule
from .maps import Maps
from .observers import LoopStart, Observer, StepTaken, UNetCall
from .recording import Attention, Features, ReadText, Recording, Row, RunFacts

MANY_ROWS = 40  # kept rows of a text from which on its maps are kept as bytes

TextKey = tuple[str, int, float, int]  # a text, its windows, its weight, and which of those joined it is


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What is recorded beside the latents and the U-Net's outputs."""

    attention: bool = True
    features: bool = True


LATENTS_ONLY = Watch(attention=False, features=False)


class Recorder(Observer):
    """Record every picture of a job; `recordings` has each that is finished, by its number.

    Batch by batch: what belongs to a batch that is begun anew is forgotten. `on_recorded` is told of each.
    `on_begin` is told of each batch's first picture before its first step, as the recording will be but for
    what passes, and may raise.
    """

    def __init__(
        self,
        watch: Watch = LATENTS_ONLY,
        *,
        on_recorded: Callable[[Recording], None] | None = None,
        on_begin: Callable[["LoopStart", Watch], None] | None = None,
    ) -> None:
        self.recordings: dict[int, Recording] = {}
        self.needs_every_part = watch.attention or watch.features
        self._watch = watch
        self._on_recorded, self._on_begin = on_recorded, on_begin
        self._batch: BatchRecorder | None = None

    def before_loop(self, start: LoopStart) -> None:
        if self._on_begin:
            self._on_begin(start, self._watch)
        self._batch = BatchRecorder(start, self._watch)

    @contextmanager
    def listening(self, unet: UNet2DConditionModel) -> Iterator[None]:
        assert self._batch
        with self._batch.watching(unet):
            yield

    def on_unet_call(self, call: UNetCall) -> None:
        assert self._batch
        self._batch.take_call(call)

    def on_step(self, step: StepTaken) -> None:
        assert self._batch
        self._batch.take_step(step)

    def after_decoding(self, latents: Tensor, images: Sequence[Image.Image]) -> None:
        assert self._batch
        self._batch.take_end(latents, images)

    def on_kept(self, first: int, images: Sequence[Image.Image]) -> None:
        batch, self._batch = self._batch, None
        if batch is None:  # nothing was run
            return
        for number, image in enumerate(images):
            recording = batch.recording(number, image)
            self.recordings[first + number] = recording
            if self._on_recorded:
                self._on_recorded(recording)


class BatchRecorder:
    """What passes in one batch of B pictures."""

    def __init__(self, start: LoopStart, watch: Watch) -> None:
        self._start = start
        self._num_images = len(start.latents)
        self._num_calls = len(start.timesteps)
        self._latents: list[Tensor] = []  # x_t before each call, then x_0
        self._conditional: list[Tensor] = []
        self._unconditional: dict[int, Tensor] = {}
        self._shallow: list[int] = []
        self._images: list[Image.Image] = []
        self._texts: list[dict[TextKey, TextMaps | list[int]]] = [{} for _ in range(self._num_images)]
        self._modules: list[AttentionModule] = []
        self._attention: AttentionWatcher | None = None
        self._features: FeatureWatcher | None = None
        unet = start.pipe.unet
        if watch.attention:
            self._modules = modules_of(unet, start.latents)
            self._attention = AttentionWatcher(self._modules, self._num_images)
        if watch.features:
            self._features = FeatureWatcher(blocks_of(unet, start.latents), self._num_images)

    @contextmanager
    def watching(self, unet: UNet2DConditionModel) -> Iterator[None]:
        """Set up what listens to the U-Net's parts, and take it down again."""
        with ExitStack() as stack:
            for watcher in (self._attention, self._features):
                if watcher:
                    stack.enter_context(watcher.watching(unet))
            yield

    def take_call(self, call: UNetCall) -> None:
        """Keep both outputs, and what the parts showed meanwhile."""
        self._conditional.append(call.conditional)
        if call.unconditional is not None:
            self._unconditional[call.index] = call.unconditional
        if not call.is_full:
            self._shallow.append(call.index)
        shown = self._attention.collect() if self._attention else []
        for picture in range(self._num_images):
            for part, key in enumerate(text_keys(call.prompts, picture, self._num_images)):
                texts = self._texts[picture]
                if key not in texts:
                    texts[key] = self._new_text(key)
                known = texts[key]
                if isinstance(known, TextMaps):
                    known.add(call.index, shown[part], picture)
                else:
                    known.append(call.index)
        if self._features:
            self._features.collect()

    def _new_text(self, key: TextKey) -> TextMaps | list[int]:
        if self._attention is None:
            return []
        matrix = row_matrix(text_rows(self._start, key)).to(self._start.latents.device)
        return TextMaps(matrix, self._modules, self._num_calls)

    def take_step(self, step: StepTaken) -> None:
        """Keep x_t; x_0 comes at the end."""
        self._latents.append(step.latents)

    def take_end(self, latents: Tensor, images: Sequence[Image.Image]) -> None:
        """Keep the last latents and the pictures as they are decoded."""
        self._latents.append(latents)
        self._images = list(images)

    def recording(self, picture: int, image: Image.Image) -> Recording:
        """Return the recording of one of the batch's pictures; `image` is what became of it."""
        start = self._start

        def own(tensors: Sequence[Tensor]) -> Tensor:
            if not tensors:
                return start.latents.new_empty(0, *start.latents.shape[1:], device="cpu")
            return torch.stack([tensor[picture] for tensor in tensors]).cpu()

        texts = self._texts[picture]
        read = tuple(
            ReadText(
                text=key[0],
                calls=tuple(known.calls if isinstance(known, TextMaps) else known),
                rows=text_rows(start, key),
                weight=key[2],
            )
            for key, known in texts.items()
        )
        sigmas = [
            noise_over_signal(start.scheduler, index, timestep)
            for index, timestep in enumerate(start.timesteps)
        ]
        original = start.original
        return Recording(
            request=start.requests[picture],
            facts=run_facts(start),
            timesteps=start.timesteps.double().cpu(),
            sigmas=torch.tensor(sigmas, dtype=torch.float64),
            latents=own(self._latents),
            conditional=own(self._conditional),
            unconditional=own(list(self._unconditional.values())),
            guided_calls=tuple(self._unconditional),
            shallow_calls=tuple(self._shallow),
            noise=start.noise[picture].cpu().clone(),
            original=None if original is None else original[0].cpu().clone(),
            mask=None if start.mask is None else start.mask.float().cpu(),
            decoded=self._images[picture],
            picture_sha256=sha256_of(image),
            texts=read,
            attention=self._attention_of(read, [m for m in texts.values() if isinstance(m, TextMaps)]),
            features=self._features_of(picture),
        )

    def _attention_of(self, read: tuple[ReadText, ...], known: Sequence[TextMaps]) -> Attention | None:
        if self._attention is None:
            return None
        means: dict[tuple[int, str], Maps] = {}
        by_head: dict[tuple[int, str], Maps] = {}
        for number, (text, maps) in enumerate(zip(read, known, strict=True)):
            in_bytes = len(text.rows) > MANY_ROWS
            for module in self._modules:
                place = number, module.name
                means[place] = Maps.pack(maps.means(module.name).cpu(), in_bytes=in_bytes)
                by_head[place] = Maps.pack(maps.heads(module.name).cpu(), in_bytes=in_bytes)
        return Attention(texts=read, means=means, by_head=by_head)

    def _features_of(self, picture: int) -> Features | None:
        if self._features is None:
            return None
        done = {name: each[picture].finished() for name, each in self._features.followed.items()}
        return Features(
            components={name: components.half() for name, (components, _) in done.items()},
            shares={name: shares for name, (_, shares) in done.items()},
        )


def text_keys(embeds: PromptEmbeds, picture: int, num_images: int) -> list[TextKey]:
    """Name what a picture of a batch reads at a step: the prompt, or each of those joined by AND."""
    tensors = (embeds.positive, *embeds.joined)
    return [
        (embeds.texts[part * num_images + picture], tensor.shape[1] // WINDOW, weight, part)
        for part, (tensor, weight) in enumerate(zip(tensors, embeds.weights, strict=True))
    ]


def text_rows(start: LoopStart, key: TextKey) -> tuple[Row, ...]:
    """List what is kept of a text's rows: each token, start and end marks, and the padding of each window."""
    pipe, (text, num_chunks, *_) = start.pipe, key
    return kept_rows(prompts.token_table(pipe.tokenizer, text, pipe.words, num_chunks=num_chunks))


def kept_rows(table: TokenTable) -> tuple[Row, ...]:
    """Return a table's rows as they are kept: the padding of each window is one."""
    rows: list[Row] = []
    for row in table.rows:
        if rows and row.kind == PADDING == rows[-1].kind:
            last = rows.pop()
            rows.append(
                Row(kind=PADDING, text="", chunk=row.chunk, position=last.position, count=last.count + 1)
            )
            continue
        ends_word = row.ends_word or row.kind != TEXT
        rows.append(
            Row(
                kind=row.kind,
                text=row.text,
                chunk=row.chunk,
                position=row.position,
                weight=row.weight,
                ends_word=ends_word,
            )
        )
    return tuple(rows)


def row_matrix(rows: Sequence[Row]) -> Tensor:
    """Return which of a text's rows make which row that is kept, (77*n, rows) of 0 and 1."""
    members = [index for index, row in enumerate(rows) for _ in range(row.count)]
    matrix = torch.zeros(len(members), len(rows))
    matrix[torch.arange(len(members)), torch.tensor(members)] = 1.0
    return matrix


def run_facts(start: LoopStart) -> RunFacts:
    """Return what must be known to read a run's numbers."""
    from .. import __version__  # at call time: the package imports the studio while it is being built

    pipe, scheduler, info = start.pipe, start.scheduler, start.model
    config = json.loads(json.dumps(dict(scheduler.config), default=str))
    return RunFacts(
        model=info.name,
        family=info.family,
        model_stamp=model_stamp(info),
        prediction_type=str(scheduler.config["prediction_type"]),
        keeps_variance=keeps_variance(scheduler),
        order=scheduler.order,
        begin_index=getattr(scheduler, "begin_index", None),
        scheduler_config=config,
        reads_guidance=pipe.reads_guidance,
        reads_masks=pipe.reads_masks,
        latent_rgb=info.latent_rgb,
        device=str(pipe.device),
        dtype=str(pipe.unet.dtype).removeprefix("torch."),
        versions={"sd_app": __version__, "torch": torch.__version__, "diffusers": diffusers.__version__},
    )


def model_stamp(info: ModelInfo) -> tuple[tuple[str, int, int], ...]:
    """Return name, bytes and time of a model's weights: what tells a changed file from the same one."""
    if info.path is None:
        return ()
    files = sorted(info.path.rglob("*.safetensors")) if info.path.is_dir() else [info.path]
    found = [(file, file.stat()) for file in files if file.is_file()]
    return tuple((file.name, stat.st_size, stat.st_mtime_ns) for file, stat in found)


def sha256_of(image: Image.Image) -> str:
    """Return the SHA-256 of a picture's size and pixels as RGB."""
    size = f"{image.width}x{image.height}:".encode()
    return hashlib.sha256(size + image.convert("RGB").tobytes()).hexdigest()
