"""From a picture to words, and pictures against texts: what is asked and what comes back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ..checks import check_choice, check_int, check_name, check_picture, check_text, shown
from .making import MAX_PROMPT
from .running import Step

INTERROGATE_MODES = ("best", "fast", "classic", "negative", "deep")
MAX_PHRASES = 64  # more than 77 tokens hold
MAX_CANDIDATES = 100_000
MAX_BEAMS = 16
MAX_MATCHES = 12  # pictures, and texts, of a matching matrix
CLASSIC_PHRASES = 3
DEFAULT_PHRASES = 32


@dataclass(frozen=True, kw_only=True)
class InterrogateRequest:
    """Ask for the words that raise a picture's CLIP similarity. None means: chosen by the studio.

    Modes: "best" adds the phrase that raises the similarity most, again and again; "fast" takes the phrases
    most similar by themselves; "classic" one medium, artist, site and movement, then flavors; "negative"
    chains what is least similar; "deep" searches several chains at once, then drops and swaps, and never
    ends below best. `caption` is what the prompt begins with: None has `caption_model` write it, "" begins
    with nothing. `groups` names the phrase lists to use. Raise ValueError naming field, value and rule.
    """

    image: Image.Image | str | Path
    mode: str = "best"
    clip_model: str | None = None
    caption_model: str | None = None
    caption: str | None = None
    groups: tuple[str, ...] | None = None
    min_phrases: int = 8  # rounds of a chain before it may end; a round that lost must be made up for later
    max_phrases: int | None = None  # None: 3 flavors in classic, else 32
    flavor_intermediate_count: int = 2048  # phrases, the most similar by themselves, that a chain tries
    beam_width: int = 4  # chains that "deep" follows

    def __post_init__(self) -> None:
        check_picture("image", self.image, ("RGB",))
        check_choice("mode", self.mode, INTERROGATE_MODES)
        check_name("clip_model", self.clip_model)
        check_name("caption_model", self.caption_model)
        if self.caption is not None:
            check_text("caption", self.caption, MAX_PROMPT)
        if self.groups is not None:
            object.__setattr__(self, "groups", _check_names("groups", self.groups))
        check_int("min_phrases", self.min_phrases, 0, MAX_PHRASES)
        if self.max_phrases is not None:
            check_int("max_phrases", self.max_phrases, 1, MAX_PHRASES)
        check_int("flavor_intermediate_count", self.flavor_intermediate_count, 1, MAX_CANDIDATES)
        check_int("beam_width", self.beam_width, 1, MAX_BEAMS)

    @property
    def phrase_limit(self) -> int:
        """Return the most phrases of the mode."""
        if self.max_phrases is not None:
            return self.max_phrases
        return CLASSIC_PHRASES if self.mode == "classic" else DEFAULT_PHRASES


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What one step of the search added. Usually one phrase; several where the first alone lost."""

    phrases: tuple[str, ...]
    cosine: float  # of the prompt with them
    gain: float  # over the prompt before; from 0 where there was none


@dataclass(frozen=True, kw_only=True)
class InterrogateStep(Step):
    """A sign of life of the interrogator, with the best prompt so far."""

    prompt: str = ""
    cosine: float | None = None  # None until something was compared
    caption: str = ""  # what the prompt begins with
    caption_similarity: float | None = None
    accepted: tuple[Accepted, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well a prompt fits the picture, and how rare that is."""

    prompt: str
    similarity: float  # cosine of prompt and picture
    percentile: float  # share of random phrases that are less similar to this picture, 0..100
    chance: float  # that a random direction is as similar: exact, but CLIP's directions are not random


@dataclass(frozen=True, kw_only=True)
class RankedPhrase:
    """One phrase against the picture, by itself."""

    phrase: str
    similarity: float
    percentile: float
    chance: float


@dataclass(frozen=True, kw_only=True)
class RankedGroup:
    """The most similar phrases of one list, best first."""

    name: str
    phrases: tuple[RankedPhrase, ...]


@dataclass(frozen=True, kw_only=True)
class InterrogateResult(Score):
    """The prompt, how it came about, and what it is worth. `similarity` is NaN if it was stopped before."""

    caption: str  # what the prompt begins with; empty in negative mode
    caption_similarity: float | None  # None without a caption
    steps: tuple[Accepted, ...]
    groups: tuple[RankedGroup, ...]
    dimensions: int  # of CLIP's space
    request: InterrogateRequest
    clip_model: str
    seconds: float
    scores: tuple[Score, ...] = ()  # of the caption, if any, and of the prompt after each step
    stopped: bool = False  # cancelled: holds the best so far
    notice: str = ""  # what the user should know
    image_features: tuple[float, ...] = field(default=(), repr=False)  # of length 1
    random_similarities: tuple[float, ...] = field(default=(), repr=False)  # of random phrases, ascending

    @property
    def phrases(self) -> tuple[str, ...]:
        """Return the phrases after the caption; each can be switched off."""
        return tuple(phrase for step in self.steps for phrase in step.phrases)

    @property
    def curve(self) -> tuple[float, ...]:
        """Return the cosines from the caption, if any, to the prompt. In best and deep they never fall."""
        start = () if self.caption_similarity is None else (self.caption_similarity,)
        return (*start, *(step.cosine for step in self.steps))


@dataclass(frozen=True, kw_only=True)
class MatchRequest:
    """Ask which of up to 12 texts belongs to which of up to 12 pictures."""

    images: Sequence[Image.Image | str | Path]
    texts: Sequence[str]
    clip_model: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", _check_count("images", self.images))
        for number, image in enumerate(self.images):
            check_picture(f"images {number + 1}", image, ("RGB",))
        object.__setattr__(self, "texts", _check_count("texts", self.texts))
        for number, text in enumerate(self.texts):
            check_text(f"texts {number + 1}", text, MAX_PROMPT)
            if not text.strip():
                raise ValueError(f"texts {number + 1} must not be empty (leave it out)")
        check_name("clip_model", self.clip_model)


@dataclass(frozen=True, kw_only=True)
class MatchResult:
    """Pictures against texts. Each table has a row a picture and a column a text."""

    cosines: tuple[tuple[float, ...], ...]
    scores: tuple[tuple[Score, ...], ...]  # the same with their rarity; percentile is NaN if not known
    text_chances: tuple[tuple[float, ...], ...]  # softmax along the row: which text is this picture's
    image_chances: tuple[tuple[float, ...], ...]  # softmax down the column: which picture is this text's
    scale: float  # cosines are multiplied by it before the softmax, as in CLIP's training
    request: MatchRequest
    clip_model: str
    seconds: float


def _check_names(name: str, values: object) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise ValueError(f"{name} must be one name or more, got {shown(values)} (leave it out for all)")
    for value in values:
        if not isinstance(value, str) or not value.strip() or len(value) > 200:
            raise ValueError(f"{name} must be names, got {shown(value)} among them (leave it out for all)")
    return tuple(dict.fromkeys(values))


def _check_count(name: str, values: object) -> tuple[object, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence) or not 1 <= len(values) <= MAX_MATCHES:
        got = f"{len(values)}" if isinstance(values, list | tuple) else shown(values)
        raise ValueError(f"{name} must be 1 to {MAX_MATCHES} of them, got {got} (leave some out)")
    return tuple(values)
