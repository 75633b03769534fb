"""What passed in the making of one picture, to be looked at without the model.

Symbols as in generation/denoise.py; n is the number of the U-Net's calls, (h, w) the size of the latents in
cells. All tensors are on the CPU.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from PIL import Image
from torch import Tensor

from ..checkpoints.model_info import LatentRgb
from ..requests import Txt2ImgRequest
from ..requests.text import END, PADDING, START, TEXT
from ..weights.scheduling import x0_of
from .maps import Maps

CONDITIONAL, UNCONDITIONAL, GUIDED = "conditional", "unconditional", "guided"
WHICH = (CONDITIONAL, UNCONDITIONAL, GUIDED)  # of the U-Net's outputs

KINDS = (START, TEXT, END, PADDING)  # of rows and words


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What must be known of a run to read its numbers."""

    model: str
    family: str  # "sd1", "sd2" or "sdxl"
    model_stamp: tuple[tuple[str, int, int], ...]  # name, bytes and time (ns) of each file of the weights
    prediction_type: str  # what the U-Net's outputs are: "epsilon", "v_prediction" or "sample"
    keeps_variance: bool  # x_t has variance 1; False: it grows with the noise
    order: int  # U-Net calls of what people count as one step
    begin_index: int | None  # the first of the schedule's calls that is run, where the scheduler was told
    scheduler_config: Mapping[str, object]
    reads_guidance: bool  # distilled: guidance is inside, and there is no half without the prompt
    reads_masks: bool  # made for inpainting: reads 9 channels, and nothing is put back at each step
    latent_rgb: LatentRgb | None
    device: str
    dtype: str
    versions: Mapping[str, str]  # of the app, torch and diffusers


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the maps: one of the 77 rows of a window, or all of its padding added up."""

    kind: str  # one of KINDS
    text: str  # as written; empty for marks and padding
    chunk: int  # the window, from 0
    position: int  # in the window; of padding the first
    count: int = 1  # rows added up
    weight: float = 1.0
    ends_word: bool = True


@dataclass(frozen=True, kw_only=True)
class Word:
    """What people would call one word of a prompt, a mark or the padding, and the rows it is made of."""

    text: str
    kind: str
    rows: tuple[int, ...]
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ReadText:
    """A text that the U-Net read: the prompt, or one of those that it became or joined by AND."""

    text: str
    calls: tuple[int, ...]  # at which it was read
    rows: tuple[Row, ...]
    weight: float = 1.0  # among those joined by AND

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """Return the words in their order, with start marks, end marks and padding as words of their own."""
        groups: list[list[int]] = []
        continues = False
        for index, row in enumerate(self.rows):
            if not (continues and row.kind == TEXT):
                groups.append([])
            groups[-1].append(index)
            continues = row.kind == TEXT and not row.ends_word
        return tuple(
            Word(
                text="".join(self.rows[index].text for index in group),
                kind=self.rows[group[0]].kind,
                rows=tuple(group),
                weight=self.rows[group[0]].weight,
            )
            for group in groups
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Attention:
    """Cross attention by text and module, in the half with the prompt. Over all rows a place sums to 1."""

    texts: tuple[ReadText, ...]
    means: Mapping[tuple[int, str], Maps]  # (calls of the text, rows, h, w): heads averaged
    by_head: Mapping[tuple[int, str], Maps]  # (3, heads, rows, h, w): averaged over thirds of the run

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """Return the modules' names in the order in which a call runs them."""
        return tuple(dict.fromkeys(module for _, module in self.means))

    @property
    def finest_up(self) -> str:
        """Return the last module on the way up among those with the most places: whose maps are clearest."""
        ups = [module for module in self.modules if module.startswith("up_blocks")] or list(self.modules)
        return max(reversed(ups), key=self._cells)

    def _cells(self, module: str) -> int:
        height, width = self.side(module)
        return height * width

    def side(self, module: str) -> tuple[int, int]:
        """Return a module's (height, width) as its maps are kept."""
        maps = next(maps for (_, name), maps in self.means.items() if name == module)
        return maps.values.shape[-2], maps.values.shape[-1]

    def at(self, module: str, call: int, text: int = 0) -> Tensor:
        """Return a module's maps at a call, (rows, h, w). Raise ValueError where the text was not read."""
        calls = self.texts[text].calls
        if call not in calls:
            raise ValueError(f"this text was not read at call {call} (it was at {calls[0]} to {calls[-1]})")
        return self.means[text, module][calls.index(call)]

    def mean(self, module: str, calls: Sequence[int] | None = None, text: int = 0) -> Tensor:
        """Return a module's maps averaged over those of the calls that read the text, (rows, h, w)."""
        known = self.texts[text].calls
        chosen = [known.index(call) for call in (known if calls is None else calls) if call in known]
        if not chosen:
            raise ValueError("this text was read at none of these calls")
        return self.means[text, module][chosen].mean(dim=0)

    def heads(self, module: str, third: int, text: int = 0) -> Tensor:
        """Return each head's maps in a third of the run, 0..2: (heads, rows, h, w)."""
        return self.by_head[text, module][third]

    def late_calls(self, share: float = 0.6, text: int = 0) -> list[int]:
        """Return the last share of the calls that read a text: there the maps show outlines."""
        calls = self.texts[text].calls
        return list(calls[len(calls) - max(1, round(share * len(calls))) :])


def of_words(maps: Tensor, words: Sequence[Word]) -> Tensor:
    """Add up the rows of each word: (rows, h, w) to (words, h, w)."""
    return torch.stack([maps[list(word.rows)].sum(dim=0) for word in words])


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """The blocks' outputs in the half with the prompt, as principal components with a lasting meaning."""

    components: Mapping[str, Tensor]  # by block, (n, 16 or fewer, h, w) float16
    shares: Mapping[str, Tensor]  # (n, 16 or fewer) float32: of the variance, 0..1

    @property
    def blocks(self) -> tuple[str, ...]:
        """Return the blocks' names in the order in which a call runs them."""
        return tuple(self.components)

    def at(self, block: str, call: int) -> Tensor:
        """Return a block's components at a call, (16 or fewer, h, w) float32."""
        return self.components[block][call].float()


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """One picture's run."""

    request: Txt2ImgRequest  # resolved, of this picture alone, with the pictures it began from
    facts: RunFacts
    timesteps: Tensor  # (n,) float64
    sigmas: Tensor  # (n,) float64: noise / signal at each call
    latents: Tensor  # (n+1, 4, h, w): x_t before each call, and x_0 last; in the run's own format
    conditional: Tensor  # (n, 4, h, w): the U-Net's outputs with the prompt
    unconditional: Tensor  # (g, 4, h, w): without it, of the g calls where that half counted
    guided_calls: tuple[int, ...]  # which calls these are
    shallow_calls: tuple[int, ...]  # where deep features of an earlier step stood in
    noise: Tensor  # (4, h, w): what is in the first x_t beside a start picture
    original: Tensor | None  # (4, h, w): the start picture encoded
    mask: Tensor | None  # (h, w) float32: how much is repainted, 0..1
    decoded: Image.Image  # what the VAE made of x_0
    picture_sha256: str  # of the finished picture's pixels: after an inpainting's composite
    texts: tuple[ReadText, ...]
    attention: Attention | None = None
    features: Features | None = None

    @property
    def num_bytes(self) -> int:
        """Return about how much memory its numbers and its picture take."""
        kept = (self.latents, self.conditional, self.unconditional, self.noise)
        maps = [*self.attention.means.values(), *self.attention.by_head.values()] if self.attention else []
        components = self.features.components.values() if self.features else ()
        tensors = (*kept, *(one.values for one in maps), *components)
        return sum(tensor.nbytes for tensor in tensors) + 3 * self.decoded.width * self.decoded.height

    @property
    def num_calls(self) -> int:
        """Return n."""
        return len(self.timesteps)

    @property
    def num_steps(self) -> int:
        """Return the steps as people count them."""
        return -(-self.num_calls // self.facts.order)

    @property
    def final(self) -> Tensor:
        """Return x_0, (4, h, w)."""
        return self.latents[-1]

    @property
    def guidance_scale(self) -> float:
        """Return w, 1 where there is no second half to be guided away from."""
        return 1.0 if not self.guided_calls else float(self.request.guidance_scale or 0.0)

    def unconditional_at(self, call: int) -> Tensor | None:
        """Return a call's output without the prompt, (4, h, w); None where it was not run or not counted."""
        if call not in self.guided_calls:
            return None
        return self.unconditional[self.guided_calls.index(call)]

    def guided(self, call: int) -> Tensor:
        """Return what the scheduler was given: u + w (c - u), (4, h, w)."""
        unconditional, conditional = self.unconditional_at(call), self.conditional[call]
        if unconditional is None:
            return conditional
        return unconditional + float(self.request.guidance_scale or 0.0) * (conditional - unconditional)

    def output(self, call: int, which: str = CONDITIONAL) -> Tensor | None:
        """Return one of a call's outputs, (4, h, w); None for the half that was not run."""
        match which:
            case "conditional":
                return self.conditional[call]
            case "unconditional":
                return self.unconditional_at(call)
            case "guided":
                return self.guided(call)
        raise ValueError(f"which must be one of {', '.join(WHICH)}, got {which}")

    def x0(self, call: int, which: str = CONDITIONAL) -> Tensor | None:
        """Return the clean latents that one of a call's outputs points at, (4, h, w); None if it has none."""
        output = self.output(call, which)
        return None if output is None else self.x0_from(call, output)

    def x0_from(self, call: int, output: Tensor) -> Tensor:
        """Return the clean latents that any answer to a call, (..., 4, h, w), points at."""
        return x0_of(
            self.facts.prediction_type,
            float(self.sigmas[call]),
            output,
            self.latents[call],
            keeps_variance=self.facts.keeps_variance,
        )

    def unscaled(self, call: int) -> Tensor:
        """Return x_t with variance 1, (4, h, w): what a VAE can show; `call` n is x_0."""
        x_t = self.latents[call]
        if self.facts.keeps_variance or call == self.num_calls:
            return x_t
        return x_t / (1 + float(self.sigmas[call]) ** 2) ** 0.5

    def eps(self, call: int, which: str = CONDITIONAL) -> Tensor | None:
        """Return one of a call's outputs as noise, (4, h, w), whatever the model predicts."""
        output = self.output(call, which)
        return None if output is None else self.eps_from(call, output)

    def eps_from(self, call: int, output: Tensor) -> Tensor:
        """Return any answer to a call, (..., 4, h, w), as the noise in x_t = signal * x0 + noise * eps."""
        if self.facts.prediction_type == "epsilon":
            return output
        sigma = float(self.sigmas[call])
        x = self.unscaled(call) * (1 + sigma**2) ** 0.5
        return (x - self.x0_from(call, output)) / sigma

    def steps_of(self, calls: Sequence[int]) -> list[int]:
        """Return the steps, from 1 as people count, that calls belong to."""
        return sorted({call // self.facts.order + 1 for call in calls})

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Say of this run what was not run at which steps, a sentence each."""
        said: list[str] = []
        without = [call for call in range(self.num_calls) if call not in self.guided_calls]
        if self.facts.reads_guidance:
            said.append("Guidance is inside this model: it has no half without the prompt.")
        elif len(without) == self.num_calls:
            said.append("The half without the prompt was not run: at guidance 1 it does not count.")
        elif without:
            steps = stretches(self.steps_of(without))
            said.append(f"Guidance had ended: the half without the prompt did not count at {steps}.")
        if self.shallow_calls:
            steps = stretches(self.steps_of(self.shallow_calls))
            said.append(f"The deep blocks were not run at {steps}: those of an earlier step stood in.")
        if self.facts.reads_masks:
            said.append("This model reads the mask itself: nothing is put back at its steps.")
        return tuple(said)


def stretches(steps: Sequence[int]) -> str:
    """Say numbers as people do: steps 3, 5 to 8 and 11."""
    runs = []
    for _, group in groupby(enumerate(steps), key=lambda pair: pair[1] - pair[0]):
        run = [step for _, step in group]
        runs.append(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}")
    listed = " and ".join(filter(None, [", ".join(runs[:-1]), runs[-1]]))
    return f"{'step' if len(steps) == 1 else 'steps'} {listed}"
