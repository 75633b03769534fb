"""The mode "true": a phrase is added if it beats all its rivals together, not because it raises the cosine.

Among many phrases one always raises the cosine a little; that proves nothing. See odds.py for what does.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..requests import Finding
from . import odds, search, views
from .clip import Clip, PictureEncoder
from .models import EMBEDDED_CLIP
from .odds import Floats
from .search import Chain, OnBest
from .tables import PhraseTable

LIKELY = 0.5  # share of a list's probability: more than all the rest of the list
AGAINST_WRITTEN = 0.8  # the same against a caption that the caption model wrote: it is seldom wrong
# Share from which a caption says a phrase. What a person typed is read less boldly: it may say nothing at all
# of a list, while what the embedded captioner writes speaks of everything.
SAID_BY_WRITTEN, SAID_BY_TYPED = 0.5, 0.9
TEXTURE = 0.9  # correlation with the shuffled picture from which a picture shows no thing

NOTHING_SURE = "No phrase is more likely than the rest of its list combined, so none was added."
ALL_SAID = "The caption already says what is more likely than the rest of its list, so nothing was added."
ONLY_TEXTURE = (
    "Nothing was added: with its tiles shuffled this picture is nearly the same to {clip}, which sees colours"
    " and texture in it, but no thing and no place (the other modes still add phrases)."
)
NO_RIVALS = "Skipped, because all its phrases mean the same: {lists}."
SMALL_WORLD = (
    "{clip} knows only the drawings of its own small world: for any other picture its phrases are random"
    " (choose another CLIP for photos)."
)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a CLIP holds for true of a picture."""

    findings: tuple[Finding, ...] = ()  # one a list at most, the likeliest first
    notice: str = ""


def find_true(
    clip: Clip,
    encoder: PictureEncoder,
    image: Image.Image,
    tables: Sequence[PhraseTable],
    caption: str,
    *,
    is_written: bool,
    on_list: Callable[[int, int], None],
) -> Truth:
    """Return the phrases that hold more than half of the probability of their list.

    The log odds are averaged over the picture and its shifted views. What the caption says already is left
    out; against one that the caption model wrote more is asked for. on_list is told how many lists are
    done, of how many, and may raise Cancelled.
    """
    world = [SMALL_WORLD.format(clip=clip.name)] if clip.name == EMBEDDED_CLIP else []
    if is_texture(tables, encoder.picture, _look(clip, views.shuffled(image))):
        return Truth(notice=" ".join([ONLY_TEXTURE.format(clip=clip.name), *world]))
    picture = average(clip, image, encoder.picture)
    lists = odds.find_rivals(tables, picture, clip.scale)
    mute = [rivals.name for rivals in lists if not rivals.is_open]
    weighed = odds.weigh(
        encoder, [rivals for rivals in lists if rivals.is_open], picture, clip.scale, on_list
    )
    said = encoder.features("", [caption])[0] if caption else None
    judged = [
        None if names(caption, each) else judge(each, said, clip.scale, is_written=is_written)
        for each in weighed
    ]
    found = sorted([each for each in judged if each], key=lambda finding: finding.times)
    found = list({finding.phrase: finding for finding in found}.values())[::-1]  # lists may share phrases
    words = [NO_RIVALS.format(lists=", ".join(mute))] if mute else []
    if not found:
        sure = any(each.shares[each.best] > LIKELY for each in weighed)
        words.append(ALL_SAID if sure else NOTHING_SURE)
    return Truth(findings=tuple(found), notice=" ".join([*words, *world]))


def names(caption: str, weighed: odds.Weighed) -> bool:
    """Tell whether the likeliest phrase, or a synonym, stands in a caption word for word."""
    phrases, same = weighed.rivals.phrases, weighed.rivals.same[weighed.best]
    words = [re.escape(phrase) for phrase, is_same in zip(phrases, same, strict=True) if is_same]
    return re.search(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", caption, re.IGNORECASE) is not None


def judge(weighed: odds.Weighed, caption: Floats | None, scale: float, *, is_written: bool) -> Finding | None:
    """Return what is true of a list's phrases; None if nothing is, or if the caption, (D,), says it."""
    best, phrases = weighed.best, weighed.rivals.phrases
    share, against = float(weighed.shares[best]), ""
    if caption is not None:
        said = weighed.shares_for(caption, scale)
        enough = SAID_BY_WRITTEN if is_written else SAID_BY_TYPED
        instead = int(said.argmax())
        if said[best] > enough:
            return None
        if said[instead] > enough and not weighed.rivals.same[best, instead]:
            against = phrases[instead]
    if share <= (AGAINST_WRITTEN if against and is_written else LIKELY):
        return None
    times = share / max(1 - share, 1e-6)
    return Finding(phrase=phrases[best], group=weighed.rivals.name, times=times, against=against)


def average(clip: Clip, image: Image.Image, picture: Floats) -> Floats:
    """Return the mean of a picture's unit features, (D,), and those of its shifted views."""
    return np.mean([picture, *_look(clip, views.shifted(image))], axis=0, dtype=np.float32)


def is_texture(tables: Sequence[PhraseTable], picture: Floats, shuffled: Sequence[Floats]) -> bool:
    """Tell whether the phrases fit a picture as they fit it shuffled: that shows no thing and no place."""
    if not shuffled:
        return False
    profile = _profile(tables, picture)
    return float(np.mean([profile @ _profile(tables, other) for other in shuffled])) >= TEXTURE


def add_all(encoder: PictureEncoder, chain: Chain, phrases: Sequence[str], on_best: OnBest) -> Chain:
    """Add phrases in the order that raises the cosine most, as far as the context holds them."""
    left = list(phrases)
    while left := [text for text, fits in zip(left, encoder.fits(chain.prompt, left), strict=True) if fits]:
        cosines = encoder.cosines(chain.prompt, left)
        index = int(search.top_indices(cosines, 1)[0])
        chain = chain.add(left.pop(index), float(cosines[index]))
        on_best(chain)
    return chain


def _profile(tables: Sequence[PhraseTable], picture: Floats) -> Floats:
    """Return each phrase's cosine over its list's mean, as one vector of length 1."""
    cosines = [table.cosines(picture) for table in tables if table.phrases]
    profile = np.concatenate([each - each.mean() for each in cosines])
    return np.asarray(profile / max(float(np.linalg.norm(profile)), 1e-6), np.float32)


def _look(clip: Clip, pictures: Iterable[Image.Image]) -> list[Floats]:
    """Return the unit features of pictures, one after the other: only one is held at a time."""
    return [clip.picture_features([picture])[0] for picture in pictures]
