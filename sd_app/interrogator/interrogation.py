"""One interrogation: caption, tables, search, and what the words are worth."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..checks import shown
from ..images import look_at_image, open_image
from ..requests import (
    Accepted,
    Cancelled,
    InterrogateRequest,
    InterrogateResult,
    InterrogateStep,
    KeptScore,
    RankedGroup,
    RankedPhrase,
    Score,
)
from ..weights.device_memory import try_twice
from ..weights.model_manager import Get, ModelManager
from . import modes, rarity, search, truth
from .clip import Clip, PictureEncoder, load_clip
from .lending import ran_out_of_memory, with_clip
from .models import ClipName, find_captioner, find_clip
from .phrases import PhraseGroup, load_groups
from .scoring import make_score
from .search import Chain
from .tables import PhraseTable, build_tables

OnStep = Callable[[InterrogateStep], None]

TOP_OF_GROUP = 10  # phrases of each list in the result
PULSE_SECONDS = 0.1  # between signs of life while nothing new is found
AGAIN = "Out of memory: trying again without other models"
NO_CAPTIONER = "There is no caption model here, so the prompt starts empty (type a caption)."


def interrogate(
    manager: ModelManager, request: InterrogateRequest, on_step: OnStep | None = None
) -> InterrogateResult:
    """Run a request; a stop returns the best so far. For errors see Studio.interrogate."""
    settings = manager.settings
    found = find_clip(settings, request.clip_model)
    groups = load_groups(settings, found.folder, request.groups, negative=request.mode == "negative")
    image, remark = request.image, ""
    if not isinstance(image, Image.Image):
        remark = look_at_image(image).remark()
        image = open_image(image, max_pixels=settings.max_pixels)
    resolved = replace(request, image=image, clip_model=found.name, groups=tuple(g.name for g in groups))
    job = Interrogation(resolved, found, on_step, notice=remark)

    def make_room() -> None:
        manager.drop_others()
        job.tell(AGAIN)

    words = ran_out_of_memory(manager, found)
    with suppress(Cancelled), manager.lend(job.tell) as get:
        try_twice(partial(job.write_caption, manager, get), make_room, words)
        try_twice(partial(job.search, manager, get, groups), make_room, words)
    return job.result()


class Interrogation:
    """What a running interrogation has found so far, and the one channel to who asked for it."""

    def __init__(
        self, request: InterrogateRequest, found: ClipName, on_step: OnStep | None, *, notice: str = ""
    ) -> None:
        self._request, self._found, self._on_step = request, found, on_step
        self._started = self._told = time.perf_counter()
        self._sign = modes.SIGNS[request.mode]
        self._notice = notice
        self._chain = Chain(base="" if request.mode == "negative" else (request.caption or "").strip())
        self._picture = np.empty(0, np.float32)
        self._ranking: modes.Ranking | None = None
        self._truth = truth.Truth()
        self._doing = ("Searching", 0, request.phrase_limit)
        self._finished = False

    @property
    def _image(self) -> Image.Image:
        """Return the opened picture."""
        assert isinstance(self._request.image, Image.Image)
        return self._request.image

    def tell(self, text: str, step: int = 0, num_steps: int = 0) -> None:
        """Call on_step, which may raise Cancelled."""
        self._told = time.perf_counter()
        if self._on_step is None:
            return
        self._on_step(
            InterrogateStep(
                text=text,
                step=step,
                num_steps=num_steps,
                image_index=0,
                num_images=1,
                seconds=self._told - self._started,
                batch_seconds=self._told - self._started,
                prompt=self._chain.prompt,
                cosine=self._chain.cosine,
                caption=self._chain.base,
                caption_similarity=self._chain.cosines[0],
                accepted=self._chain.steps(self._sign),
            )
        )

    def write_caption(self, manager: ModelManager, get: Get) -> None:
        """Have the caption model say what the prompt starts with, unless that is typed or not wanted."""
        if self._request.caption is not None or self._request.mode == "negative":
            return
        source = find_captioner(manager.settings, self._request.caption_model)
        if source is None:
            self._notice = f"{self._notice} {NO_CAPTIONER}".strip()
            return
        from .captioner import load_captioner

        captioner = get(f"captioner {Path(source).name}", partial(load_captioner, source))
        self.tell("Captioning")
        self._chain = Chain(base=captioner.caption(self._image).strip())

    def search(self, manager: ModelManager, get: Get, groups: Sequence[PhraseGroup]) -> None:
        """Rank the phrases and run the mode's search. Raise ValueError if the caption is too long."""
        clip: Clip = get(self._found.label, partial(load_clip, self._found))
        check_length(clip, self._chain.base)
        self.tell("Looking at the picture")
        self._picture = clip.picture_features([self._image])[0]
        encoder = PictureEncoder(clip, self._picture, self._pulse)
        self._chain = search.start(encoder, self._chain.base)
        cache_dir = manager.settings.cache_dir
        tables = build_tables(groups, clip.tower, clip.key, cache_dir, partial(self.tell, "Reading phrases"))
        self._ranking = modes.rank(tables, self._picture)
        self._pulse(0)
        if self._request.mode == "true":
            self._find_true(clip, encoder, tables)
        else:
            self._chain = modes.run(self._request, encoder, self._ranking, self._chain, self._keep)
        self._finished = True

    def _find_true(self, clip: Clip, encoder: PictureEncoder, tables: Sequence[PhraseTable]) -> None:
        """Find what is true, then add it to the chain."""
        self._truth = truth.find_true(
            clip, encoder, self._image, tables, self._chain.base,
            is_written=self._request.caption is None, on_list=self._weigh,
        )  # fmt: skip
        limit = self._request.phrase_limit
        self._doing = ("Searching", 0, limit)
        phrases = [finding.phrase for finding in self._truth.findings[:limit]]
        self._chain = truth.add_all(encoder, self._chain, phrases, self._keep)

    def _weigh(self, done: int, total: int) -> None:
        """Say which list's turn it is."""
        self._doing = ("Comparing alternatives", done, total)
        self._tell_search()

    def result(self) -> InterrogateResult:
        """Return what was found."""
        chain, ranking = self._chain, self._ranking
        random = rarity.sample_cosines(ranking.cosines) if ranking else np.empty(0, np.float32)
        score = make_score(chain.prompt, chain.cosine, random, len(self._picture))
        steps = chain.steps(self._sign)
        found = {finding.phrase: finding for finding in self._truth.findings}
        return InterrogateResult(
            **vars(score),
            caption=chain.base,
            caption_similarity=chain.cosines[0],
            steps=steps,
            scores=score_steps(chain, steps, random, len(self._picture)),
            groups=rank_groups(ranking, random, len(self._picture)) if ranking else (),
            dimensions=len(self._picture),
            request=self._request,
            clip_model=self._found.name,
            seconds=time.perf_counter() - self._started,
            stopped=not self._finished,
            notice=f"{self._notice} {self._truth.notice}".strip(),
            findings=tuple(found[phrase] for phrase in chain.phrases if phrase in found),
            image_features=tuple(self._picture.tolist()),
            random_similarities=tuple(random.tolist()),
        )

    def _keep(self, chain: Chain) -> None:
        """Take a chain that is better than the best so far; fast, classic and true take every one."""
        if self._sign == 0 or search.is_better(chain, self._chain, self._sign):
            self._chain = chain
            self._tell_search()

    def _pulse(self, _: int) -> None:
        if time.perf_counter() - self._told >= PULSE_SECONDS:
            self._tell_search()

    def _tell_search(self) -> None:
        text, step, num_steps = self._doing
        self.tell(text, len(self._chain.phrases) or step, num_steps)


def score_phrases(manager: ModelManager, result: InterrogateResult, keep: Sequence[int]) -> KeptScore:
    """Score a result's prompt with only the phrases of these indices, and follow the cosine up to it.

    Raise ValueError for an index it does not have, and if nothing is left.
    """
    wrong = [index for index in keep if index not in range(len(result.phrases))]
    if wrong:
        raise ValueError(f"keep must hold indices from 0 to {len(result.phrases) - 1}, got {shown(wrong[0])}")
    if not result.image_features:
        raise ValueError("result must be one that got as far as reading the picture (do not stop it so soon)")
    kept = [phrase for index, phrase in enumerate(result.phrases) if index in set(keep)]
    prompt = search.join(result.caption, kept)
    if not prompt:
        raise ValueError("keep must leave something of the prompt (keep a phrase, or type a caption)")
    picture = np.array(result.image_features, np.float32)
    found = find_clip(manager.settings, result.clip_model)
    before = [] if len(kept) == len(result.phrases) else prompts_of(result, keep)[:-1]

    def read(clip: Clip) -> tuple[float, tuple[float, ...]]:
        cosine = float(clip.text_features([prompt])[0] @ picture)
        return cosine, tuple(float(clip.text_features([text])[0] @ picture) for text in before)

    cosine, earlier = with_clip(manager, found, read)
    score = make_score(prompt, cosine, result.random_similarities, result.dimensions)
    curve = result.curve if len(kept) == len(result.phrases) else (*earlier, cosine)
    return KeptScore(**vars(score), curve=curve)


def prompts_of(result: InterrogateResult, keep: Sequence[int]) -> list[str]:
    """Return the prompts from the caption, if any, to the whole, one for each step that keeps a phrase."""
    prompts = [result.caption] if result.caption else []
    kept: list[str] = []
    index = 0
    for step in result.steps:
        chosen = [phrase for at, phrase in enumerate(step.phrases, index) if at in set(keep)]
        index += len(step.phrases)
        if chosen:
            kept += chosen
            prompts.append(search.join(result.caption, kept))
    return prompts


def score_steps(
    chain: Chain, steps: Sequence[Accepted], random: NDArray[np.float32], dimensions: int
) -> tuple[Score, ...]:
    """Return the score of the caption, unless it is empty, and of the prompt after each step."""
    scores = []
    if chain.cosines[0] is not None:
        scores.append(make_score(chain.base, chain.cosines[0], random, dimensions))
    phrases: tuple[str, ...] = ()
    for step in steps:
        phrases += step.phrases
        scores.append(make_score(search.join(chain.base, phrases), step.cosine, random, dimensions))
    return tuple(scores)


def rank_groups(
    ranking: modes.Ranking, random: NDArray[np.float32], dimensions: int
) -> tuple[RankedGroup, ...]:
    """Return the most similar phrases of each list."""
    groups = []
    for table, cosines in zip(ranking.tables, ranking.cosines, strict=True):
        scores = [
            make_score(table.phrases[k], float(cosines[k]), random, dimensions)
            for k in search.top_indices(cosines, TOP_OF_GROUP)
        ]
        phrases = tuple(
            RankedPhrase(phrase=s.prompt, similarity=s.similarity, percentile=s.percentile, chance=s.chance)
            for s in scores
        )
        groups.append(RankedGroup(name=table.name, phrases=phrases))
    return tuple(groups)


def check_length(clip: Clip, caption: str) -> None:
    """Refuse a caption that the CLIP would not read to its end."""
    count, limit = clip.tower.count_tokens(caption), clip.tower.context_length
    if count > limit:
        raise ValueError(f"caption must have at most {limit - 2} tokens, got {count - 2} (shorten it)")
