"""From a picture to words, and pictures against texts: what comes back."""

from dataclasses import dataclass, field

from ..expressions import escape
from .interrogating import InterrogateRequest, MatchRequest
from .running import Step


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
    caption: str = ""  # what the prompt starts with
    caption_similarity: float | None = None
    accepted: tuple[Accepted, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well a prompt fits the picture, and how rare that is."""

    prompt: str
    similarity: float  # cosine of prompt and picture
    percentile: float  # share of random phrases that are less similar to this picture, 0..100
    chance: float  # that a random direction is as similar: exact, but CLIP's directions are not random

    @property
    def as_prompt(self) -> str:
        """Return the prompt to draw: its brackets, colons and braces are words there, as CLIP read them."""
        return escape(self.prompt)


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
class Finding:
    """What mode "true" found in one list."""

    phrase: str
    group: str  # the list's name
    times: float  # how many times likelier than the rest of its list, to this CLIP; no chance of truth
    against: str = ""  # what CLIP reads in the caption instead, in the words of the list


@dataclass(frozen=True, kw_only=True)
class InterrogateResult(Score):
    """The prompt, how it came about, and what it is worth. `similarity` is NaN if it was stopped before."""

    caption: str  # what the prompt starts with; empty in negative mode
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
    findings: tuple[Finding, ...] = ()  # of mode "true": one for each phrase added
    image_features: tuple[float, ...] = field(default=(), repr=False)  # of length 1
    random_similarities: tuple[float, ...] = field(default=(), repr=False)  # of random phrases, ascending

    @property
    def phrases(self) -> tuple[str, ...]:
        """Return the phrases after the caption; each can be switched off."""
        return tuple(phrase for step in self.steps for phrase in step.phrases)

    @property
    def disagreements(self) -> tuple[Finding, ...]:
        """Return what was added although the caption says something else."""
        return tuple(finding for finding in self.findings if finding.against)

    @property
    def curve(self) -> tuple[float, ...]:
        """Return the cosines from the caption, if any, to the prompt. In best and deep they never fall."""
        start = () if self.caption_similarity is None else (self.caption_similarity,)
        return (*start, *(step.cosine for step in self.steps))


@dataclass(frozen=True, kw_only=True)
class KeptScore(Score):
    """The score of a result's prompt with some of its phrases, and the cosines up to it, as in its curve."""

    curve: tuple[float, ...] = ()


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
