"""From a picture to words, and pictures against texts: what is asked."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ..checks import check_picture, check_text, shown
from .fields import check_fields, request_class, request_field, request_fields, same_field
from .making import MAX_PROMPT

MAX_PHRASES = 64  # more than 77 tokens hold
MAX_MATCHES = 12  # pictures, and texts, of a matching matrix
CLASSIC_PHRASES = 3
DEFAULT_PHRASES = 32


def _check_names(name: str, values: object) -> None:
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise ValueError(f"{name} must be one name or more, got {shown(values)} (leave it out for all)")
    for value in values:
        if not isinstance(value, str) or not value.strip() or len(value) > 200:
            raise ValueError(f"{name} must be names, got {shown(value)} among them (leave it out for all)")


def _without_doubles(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _check_images(name: str, images: object) -> None:
    for number, image in enumerate(_some(name, images), 1):
        check_picture(f"{name} {number}", image, ("RGB",))


def _check_texts(name: str, texts: object) -> None:
    for number, text in enumerate(_some(name, texts), 1):
        check_text(f"{name} {number}", text, MAX_PROMPT)
        assert isinstance(text, str)
        if not text.strip():
            raise ValueError(f"{name} {number} must not be empty (leave it out)")


def _some(name: str, values: object) -> Sequence[object]:
    """Return 1 to MAX_MATCHES values; refuse more or none."""
    if isinstance(values, str) or not isinstance(values, Sequence) or not 1 <= len(values) <= MAX_MATCHES:
        got = f"{len(values)}" if isinstance(values, list | tuple) else shown(values)
        raise ValueError(f"{name} must number 1 to {MAX_MATCHES}, got {got} (leave some out)")
    return values


@request_class
class InterrogateRequest:
    """Ask for the words that fit a picture, as CLIP reads it. None means: chosen by the studio.

    Modes: "true" adds a phrase only if the CLIP finds it, with its synonyms, likelier than the rest of its
    list put together, at most one a list; "best" adds the phrase that raises the similarity most, again and
    again; "fast" takes the phrases most similar by themselves; "classic" one medium, artist, site and
    movement, then flavors; "negative" chains what is least similar; "deep" searches several chains at once,
    then drops and swaps, and never ends below best. `caption` is what the prompt starts with: None has
    `caption_model` write it, "" begins with nothing. `groups` names the phrase lists to use. Raise
    ValueError naming field, value and rule.
    """

    image: Image.Image | str | Path = request_field(label="Picture", help="pictures, or folders of pictures")
    mode: str = request_field(
        default="true",
        choices={
            "true": "True",
            "best": "Best",
            "fast": "Fast",
            "classic": "Classic",
            "negative": "Negative",
            "deep": "Deep",
        },
        label="Search",
        help="how to search; true adds only what beats the rest of its list",
    )
    clip_model: str | None = request_field(
        default=None,
        label="CLIP model",
        help="a folder in models/, or an open_clip name such as ViT-L-14/openai",
        unset="tiny-clip",
    )
    caption_model: str | None = request_field(
        default=None,
        label="Caption model",
        help="writes the caption: a folder in models/, or the hub id of a BLIP model",
        unset="tiny-blip",
    )
    caption: str | None = request_field(
        default=None,
        limit=MAX_PROMPT,
        label="Caption",
        help='what the prompt starts with, instead of a generated caption; "" for nothing',
    )
    groups: tuple[str, ...] | None = request_field(
        default=None,
        check=_check_names,
        keep=_without_doubles,
        label="Lists",
        help="phrase lists to search (default: those of the CLIP, and yours)",
    )
    min_phrases: int = request_field(
        default=8,  # a round that lost must be made up for later
        low=0,
        high=MAX_PHRASES,
        label="Minimum rounds",
        help="how many rounds a search runs before it may end",
    )
    max_phrases: int | None = request_field(
        default=None,
        low=1,
        high=MAX_PHRASES,
        label="Maximum phrases",
        help=f"how many phrases at most (default: {DEFAULT_PHRASES}); in classic how many flavors"
        f" (default: {CLASSIC_PHRASES})",
    )
    flavor_intermediate_count: int = request_field(
        default=2048,
        low=1,
        high=100_000,
        label="Candidates",
        help="how many phrases, the most similar on their own, a search tries",
    )
    beam_width: int = request_field(
        default=4,
        low=1,
        high=16,
        label="Chains (Deep)",
        help="how many chains Deep follows at once",
    )

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def phrase_limit(self) -> int:
        """Return the most phrases of the mode."""
        if self.max_phrases is not None:
            return self.max_phrases
        return CLASSIC_PHRASES if self.mode == "classic" else DEFAULT_PHRASES


@request_class
class MatchRequest:
    """Ask which of up to 12 texts belongs to which of up to 12 pictures."""

    images: Sequence[Image.Image | str | Path] = request_field(
        check=_check_images, keep=tuple, label="Pictures", help=f"1 to {MAX_MATCHES} pictures"
    )
    texts: Sequence[str] = request_field(
        check=_check_texts,
        keep=tuple,
        label="Texts",
        long_label=f"Texts, one per line, up to {MAX_MATCHES}",
        help=f"1 to {MAX_MATCHES} texts",
    )
    clip_model: str | None = same_field(of=InterrogateRequest, default=None)

    def __post_init__(self) -> None:
        check_fields(self)


INTERROGATE_MODES = request_fields(InterrogateRequest)["mode"].names
