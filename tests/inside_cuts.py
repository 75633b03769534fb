"""The embedded model's pictures with parts of its U-Net cut out, as the judge reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from sd_app import Studio, Txt2ImgRequest
from sd_app.generation.frames import ListedFrames
from sd_app.generation.job import JobParts
from sd_app.generation.prompt_embeds import PromptEach
from sd_app.inside.again import make_frames, of_picture
from sd_app.inside.cuts import Cut, Cutter, did_nothing
from sd_app.inside.look import Look
from sd_app.inside.unet_actions import all_cuts
from sd_app.tiny import world
from tests.inside_words import Case

ATTRIBUTES = tuple(world.ATTRIBUTES)
MIDDLE_CROSS = "cross attention of mid_block.attentions.0"


@dataclass(frozen=True, kw_only=True, eq=False)
class CutEffect:
    """What became of many pictures with one cut: for each, what the judge read before and reads now."""

    before: Sequence[world.Scene]
    after: Sequence[world.Scene]
    nothing: Sequence[bool]

    def kept(self, attribute: str) -> float:
        """Return the share of pictures in which an attribute is what it was, 0..1."""
        pairs = zip(self.before, self.after, strict=True)
        return float(np.mean([getattr(a, attribute) == getattr(b, attribute) for a, b in pairs]))


def run_cuts(
    studio: Studio, cases: Sequence[Case], judge, names: Sequence[str] = ()
) -> Mapping[str, CutEffect]:
    """Make all pictures in batches, as they are and with each cut, by the cut's name.

    By default the named cuts and the middle's cross attention.
    """
    recording = studio.record(cases[0].request, attention=False, features=False, keep=False)
    look = studio.look(recording)
    requests = [replace(look.request, prompt=case.prompt, seed=case.seed) for case in cases]
    whole = _make(look, requests, ())
    before = judge.read(whole)
    found = {}
    for cut in all_cuts(look):
        if cut.name in names if names else cut.named or cut.name == MIDDLE_CROSS:
            pictures = _make(look, requests, [cut])
            pairs = zip(whole, pictures, strict=True)
            nothing = [did_nothing(of_picture(replace(recording, decoded=a), b, label="")) for a, b in pairs]
            found[cut.name] = CutEffect(before=before, after=judge.read(pictures), nothing=nothing)
    return found


def _make(look: Look, requests: Sequence[Txt2ImgRequest], cuts: Sequence[Cut]) -> list[Image.Image]:
    def change(parts: JobParts) -> JobParts:
        return replace(parts, frames=ListedFrames(requests), prompts=PromptEach())

    return make_frames(look, look.request, change=change, observers=[Cutter(cuts)])
