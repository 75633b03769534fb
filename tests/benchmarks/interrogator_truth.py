"""How many of the interrogator's phrases are true, mode by mode, on drawings that no model was trained on.

    python tests/benchmarks/interrogator_truth.py [--pictures 200] [--deep 12] [--modes true best]

The embedded CLIP and captioner. Three captions: none; partly wrong (two attributes changed, two others left
unsaid); the captioner's. A phrase is true if all it states is so: a thing needs colour and subject. Recall is
the share of what the caption does not state rightly that a true phrase states. Then what must come out empty:
a CLIP of random weights, lists of words this CLIP never saw, and noise. Minutes on one core: text features
are kept from picture to picture.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sd_app import InterrogateRequest
from sd_app.interrogator import modes, odds, search, truth
from sd_app.interrogator.captioner import Captioner, load_captioner
from sd_app.interrogator.clip import Clip, PictureEncoder, load_clip
from sd_app.interrogator.models import find_clip
from sd_app.interrogator.phrases import PhraseGroup, load_groups
from sd_app.interrogator.search import Chain
from sd_app.interrogator.tables import PhraseTable, build_tables
from sd_app.settings import EMBEDDED_DIR, Settings
from tests.truths import Tally, drawn, partly_wrong

MODES = ("true", "best", "fast", "classic", "deep")
MAX_KEPT = 400_000  # texts, 200 MB at 128 dimensions
FOREIGN_SIZES = (3, 20, 200, 2000)


class KeepingEncoder(PictureEncoder):
    """An encoder that keeps text features, which do not depend on the picture."""

    kept: ClassVar[dict[str, NDArray[np.float32]]] = {}

    def features(self, prefix: str, candidates: Sequence[str]) -> NDArray[np.float32]:
        """Return the features as a PictureEncoder does, from those kept as far as they are there."""
        texts = [search.join(prefix, [text]) for text in candidates]
        new = [k for k, text in enumerate(texts) if text not in self.kept]
        if len(self.kept) + len(new) > MAX_KEPT:
            self.kept.clear()
            new = list(range(len(texts)))
        for k, features in zip(new, super().features(prefix, [candidates[k] for k in new]), strict=True):
            self.kept[texts[k]] = features
        return np.stack([self.kept[text] for text in texts])


def main() -> None:
    """Print the table and the empty tests."""
    options = parse()
    torch.set_num_threads(options.threads)
    found = find_clip(Settings(), None)
    clip = load_clip(found, torch.device("cpu"), torch.float32)
    captioner = load_captioner(EMBEDDED_DIR / "tiny-blip", "cpu", torch.float32)
    with tempfile.TemporaryDirectory() as cache:
        groups = load_groups(Settings(models_dir=Path(cache)), found.folder, None)
        tables = build(groups, clip, cache)
        print(f"{options.pictures} held-out drawings of seed {options.seed}, deep {options.deep}")
        report(options, clip, captioner, tables)
        print("what must come out empty")
        report_random_clip(options)
        report_foreign(options, clip, tables, cache)
        report_noise(clip, tables)


def parse() -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--deep", type=int, default=12, help="pictures that deep searches")
    parser.add_argument("--foreign", type=int, default=60, help="foreign lists of each size")
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def build(groups: Sequence[PhraseGroup], clip: Clip, cache: str) -> tuple[PhraseTable, ...]:
    """Return the tables of some lists."""
    return build_tables(groups, clip.tower, clip.key, Path(cache), lambda *_: None)


def report(
    options: argparse.Namespace, clip: Clip, captioner: Captioner, tables: Sequence[PhraseTable]
) -> None:
    """Print a line a mode and kind of caption."""
    tallies: dict[tuple[str, str], Tally] = {}
    seconds = dict.fromkeys(MODES, 0.0)
    for index in range(options.pictures):
        image, scene = drawn(options.seed, index)
        captions = {"none": "", "wrong": partly_wrong(scene, options.seed, index)}
        captions["written"] = captioner.caption(image)
        for mode in options.modes:
            if mode == "deep" and index >= options.deep:
                continue
            for kind, caption in captions.items():
                began = time.perf_counter()
                chain = run(mode, clip, image, tables, caption, is_written=kind == "written")
                seconds[mode] += time.perf_counter() - began
                tally = tallies.setdefault((mode, kind), Tally())
                tally.add(scene, caption, chain.phrases, chain.cosine or 0.0)
    print("caption  mode     precision  recall  phrases  false  cosine  (phrases, false: a picture)")
    for kind in ("none", "wrong", "written"):
        for mode in MODES:
            if (mode, kind) in tallies:
                tally = tallies[mode, kind]
                print(
                    f"{kind:8} {mode:8} {tally.precision:9.1%} {tally.recall:7.1%}"
                    f" {tally.phrases / tally.pictures:8.2f} {tally.false_each:6.3f}"
                    f" {tally.cosine / tally.pictures:7.3f}"
                )
    print("seconds:", ", ".join(f"{mode} {spent:.0f}" for mode, spent in seconds.items()))


def run(
    mode: str,
    clip: Clip,
    image: Image.Image,
    tables: Sequence[PhraseTable],
    caption: str,
    *,
    is_written: bool,
) -> Chain:
    """Interrogate a picture as the studio does, with kept text features."""
    picture = clip.picture_features([image])[0]
    encoder = KeepingEncoder(clip, picture, lambda _: None)
    chain = search.start(encoder, caption)
    if mode != "true":
        request = InterrogateRequest(image=image, mode=mode, caption=caption)
        return modes.run(request, encoder, modes.rank(tables, picture), chain, lambda _: None)
    found = truth.find_true(
        clip, encoder, image, tables, caption, is_written=is_written, on_list=lambda *_: None
    )
    return truth.add_all(encoder, chain, [each.phrase for each in found.findings], lambda _: None)


def largest_share(clip: Clip, image: Image.Image, tables: Sequence[PhraseTable], name: str = "") -> float:
    """Return the largest share that a phrase holds of its list, or of the list of one name."""
    picture = clip.picture_features([image])[0]
    encoder = KeepingEncoder(clip, picture, lambda _: None)
    mean = truth.average(clip, image, picture)
    rivals = odds.find_rivals(tables, mean, clip.scale)
    weighed = odds.weigh(encoder, rivals, mean, clip.scale, lambda *_: None)
    return max(float(each.shares.max()) for each in weighed if name in ("", each.rivals.name))


def report_random_clip(options: argparse.Namespace) -> None:
    """Let a ViT-B-32 of random weights choose among some of clip-interrogator's phrases."""
    torch.manual_seed(0)
    model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32")
    clip = Clip(model, preprocess, open_clip.get_tokenizer("ViT-B-32"), name="random")
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        groups = load_groups(Settings(models_dir=Path(folder)), None, None)
        total = sum(len(group.phrases) for group in groups)
        sample = []
        for group in groups:
            size = max(20, round(len(group.phrases) * 500 / total))
            chosen = rng.choice(len(group.phrases), min(size, len(group.phrases)), replace=False)
            sample.append(PhraseGroup(name=group.name, phrases=tuple(group.phrases[k] for k in chosen)))
        tables = build(sample, clip, folder)
        KeepingEncoder.kept.clear()
        image, _ = drawn(options.seed, 0)
        chain = run("true", clip, image, tables, "", is_written=False)
        share = largest_share(clip, image, tables)
        KeepingEncoder.kept.clear()
    count = sum(len(group.phrases) for group in sample)
    print(f"random ViT-B-32, {count} phrases: {len(chain.phrases)} added, largest share {share:.3f}")


def report_foreign(
    options: argparse.Namespace, clip: Clip, tables: Sequence[PhraseTable], cache: str
) -> None:
    """Add lists of flavors that share no word with the world's own lists."""
    flavors = load_groups(Settings(models_dir=Path(cache)), None, ("flavors",))[0].phrases
    own = {word for table in tables for phrase in table.phrases for word in words(phrase)}
    foreign = [phrase for phrase in flavors if not own & words(phrase)]
    rng = np.random.default_rng(options.seed)
    for size in FOREIGN_SIZES if options.foreign else ():
        shares = []
        for index in range(options.foreign):
            chosen = rng.choice(len(foreign), size, replace=False)
            group = PhraseGroup(name="foreign", phrases=tuple(foreign[k] for k in chosen))
            image, _ = drawn(options.seed, index)
            shares.append(largest_share(clip, image, [*tables, *build([group], clip, cache)], "foreign"))
        answered = sum(share > truth.LIKELY for share in shares)
        print(f"foreign lists of {size}: {answered} of {len(shares)} answered, largest {max(shares):.3f}")


def words(phrase: str) -> set[str]:
    """Return a phrase's words."""
    return set(re.findall(r"[a-z]+", phrase.lower()))


def report_noise(clip: Clip, tables: Sequence[PhraseTable]) -> None:
    """Interrogate noise, white and blurred."""
    rng = np.random.default_rng(0)
    counts: dict[str, list[int]] = {"white": [], "blurred": []}
    for index in range(32):
        pixels = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
        image, kind = Image.fromarray(pixels), "white"
        if index % 2:
            image, kind = image.filter(ImageFilter.GaussianBlur(1 + index % 12)), "blurred"
        counts[kind].append(len(run("true", clip, image, tables, "", is_written=False).phrases))
    told = ", ".join(f"{kind} {np.mean(numbers):.2f}" for kind, numbers in counts.items())
    print(f"phrases a noise picture: {told}")


if __name__ == "__main__":
    main()
