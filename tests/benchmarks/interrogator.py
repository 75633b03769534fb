"""How much faster the interrogator is than clip-interrogator 0.6.0, with one model in both.

    python tests/benchmarks/interrogator.py [--model ViT-B-32] [--phrases 10000] [--pictures 50]

Random weights of open_clip, fp32, CPU, the same lists, the caption given. The table is built in slices, and
the pictures one by one, by the two in turn, so that what else the machine does hits both alike. Peak memory
is the process's largest growth while one of them works. Both prompts are compared by encode_text.

The whole sample takes hours for the package. Fewer --phrases, --candidates and --pictures lower the ratios:
both encode every phrase, and every candidate in every round, but ours has more that does not grow with them.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import open_clip
import psutil
import torch

from sd_app import InterrogateRequest
from sd_app.interrogator import modes, phrases, search
from sd_app.interrogator.clip import Clip, PictureEncoder
from sd_app.interrogator.tables import PhraseTable, Shard, build_tables
from sd_app.settings import Settings
from sd_app.weights.device_memory import collect_memory
from tests.interrogating import held_out

SLICES = 8
LISTS = ("artists", "flavors", "mediums", "movements", "trending")
CAPTION = "a picture of a thing on a table"


@dataclass
class Side:
    """What one of the two took, piece by piece."""

    wall: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)  # bytes the process grew by at most

    def run(self, job: Callable[[], Any]) -> Any:
        """Run a piece of work and note its time and memory."""
        collect_memory()  # what the other one left must not hide what this one takes
        process, done = psutil.Process(), threading.Event()
        before = highest = process.memory_info().rss

        def watch() -> None:
            nonlocal highest
            while not done.wait(0.005):
                highest = max(highest, process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.perf_counter()
        result = job()
        self.wall.append(time.perf_counter() - began)
        done.set()
        watcher.join()
        self.peak.append(highest - before)
        return result


def main() -> None:
    """Print seconds, ratios, memory and the smallest difference of similarity."""
    options = parse()
    torch.manual_seed(0)
    model, _, preprocess = open_clip.create_model_and_transforms(options.model)
    clip = Clip(model, preprocess, open_clip.get_tokenizer(options.model), name=options.model)
    lists = sample_lists(options.phrases)
    theirs = make_package(options, clip, preprocess)
    table_sides = Side(), Side()
    tables = build_both(clip, theirs, lists, *table_sides)
    picture_sides = Side(), Side()
    gains = [run_both(options, clip, theirs, tables, k, *picture_sides) for k in range(options.pictures)]
    print(f"{options.model}, {torch.get_num_threads()} threads, {sum(map(len, lists.values()))} phrases,")
    print(f"{options.candidates} candidates, {options.rounds} phrases a prompt, {options.pictures} pictures")
    report("table", *table_sides)
    report("best", *picture_sides)
    print(f"similarity, ours - package's: least {min(gains):+.2e}, mean {statistics.mean(gains):+.2e}")
    print("wanted: both ratios at least 10, memory at most 1.00, similarity at least -1e-5")


def parse() -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32", help="an open_clip architecture")
    parser.add_argument("--phrases", type=int, default=10_000)
    parser.add_argument("--pictures", type=int, default=50)
    parser.add_argument("--candidates", type=int, default=2048, help="flavor_intermediate_count")
    parser.add_argument("--rounds", type=int, default=8, help="phrases of a prompt")
    return parser.parse_args()


def sample_lists(count: int) -> dict[str, list[str]]:
    """Return about `count` phrases, each list in its share and in its order."""
    with tempfile.TemporaryDirectory() as empty:
        groups = phrases.load_groups(Settings(models_dir=Path(empty)), None, LISTS)
    total = sum(len(group.phrases) for group in groups)
    rng = np.random.default_rng(0)
    lists = {}
    for group in groups:
        size = max(1, round(len(group.phrases) * count / total))
        chosen = np.sort(rng.choice(len(group.phrases), min(size, len(group.phrases)), replace=False))
        lists[group.name] = [group.phrases[k] for k in chosen]
    return lists


def make_package(options: argparse.Namespace, clip: Clip, preprocess: Any) -> Any:
    """Return the package's Interrogator over the same model, its tables still empty."""
    from clip_interrogator import Config, Interrogator

    config: Any = Config()
    config.clip_model, config.clip_preprocess = clip.model, preprocess
    config.clip_model_name = f"{options.model}/random"
    config.caption_model_name, config.cache_path, config.download_cache = None, None, False
    config.device, config.quiet = "cpu", True
    config.flavor_intermediate_count = options.candidates
    with tempfile.TemporaryDirectory() as folder:
        for name in (*LISTS, "negative"):
            (Path(folder) / f"{name}.txt").write_text("word\n", encoding="utf-8")
        config.data_path = folder
        interrogator = Interrogator(config)
    for table in (interrogator.artists, interrogator.flavors, interrogator.mediums, interrogator.movements):
        table.labels, table.embeds = [], []
    interrogator.trendings.labels, interrogator.trendings.embeds = [], []
    return interrogator


def build_both(
    clip: Clip, theirs: Any, lists: dict[str, list[str]], package: Side, ours: Side
) -> tuple[PhraseTable, ...]:
    """Build the tables of both, slice by slice in turn."""
    from clip_interrogator import LabelTable

    finished = []
    with tempfile.TemporaryDirectory() as cache:
        for name, texts in lists.items():
            table = getattr(theirs, "trendings" if name == "trending" else name)
            shards: list[Shard] = []
            slices = SLICES if len(texts) >= 100 * SLICES else 1
            for number, part in enumerate(np.array_split(np.array(texts, object), slices)):
                group = phrases.PhraseGroup(name=name, phrases=tuple(part))

                def build_ours(group: phrases.PhraseGroup = group) -> tuple[PhraseTable, ...]:
                    return build_tables([group], clip.tower, clip.key, Path(cache), lambda *_: None)

                def build_theirs(part: Any = part) -> Any:
                    return LabelTable(list(part), None, theirs)

                if number % 2:
                    made, label_table = ours.run(build_ours), package.run(build_theirs)
                else:
                    label_table, made = package.run(build_theirs), ours.run(build_ours)
                table.labels += label_table.labels
                table.embeds += list(label_table.embeds)
                shards += [shard.copy() for shard in made[0].shards]
            finished.append(PhraseTable(name=name, phrases=tuple(texts), shards=tuple(shards)))
    return tuple(finished)


def run_both(
    options: argparse.Namespace,
    clip: Clip,
    theirs: Any,
    tables: tuple[PhraseTable, ...],
    index: int,
    package: Side,
    ours: Side,
) -> float:
    """Interrogate one picture with both; return how much more similar our prompt is."""
    image, _ = held_out(index)
    request = InterrogateRequest(
        image=image, mode="best", min_phrases=options.rounds, max_phrases=options.rounds, caption=CAPTION,
        flavor_intermediate_count=options.candidates,
    )  # fmt: skip

    def run_ours() -> str:
        picture = clip.picture_features([image])[0]
        encoder = PictureEncoder(clip, picture, lambda _: None)
        start = search.start(encoder, CAPTION)
        return modes.run(request, encoder, modes.rank(tables, picture), start, lambda _: None).prompt

    def run_theirs() -> str:
        return theirs.interrogate(
            image, min_flavors=options.rounds, max_flavors=options.rounds, caption=CAPTION
        )

    if index % 2:
        mine, other = ours.run(run_ours), package.run(run_theirs)
    else:
        other, mine = package.run(run_theirs), ours.run(run_ours)
    cosines = theirs.similarities(theirs.image_to_features(image), [mine, other])
    print(f"picture {index}: ours {cosines[0]:.6f}, package {cosines[1]:.6f}", flush=True)
    return cosines[0] - cosines[1]


def report(name: str, package: Side, ours: Side) -> None:
    """Print one line of seconds, ratio and memory."""
    theirs, mine = sum(package.wall), sum(ours.wall)
    memory = max(ours.peak) / max(*package.peak, 1)
    print(
        f"{name}: package {theirs:.1f} s, ours {mine:.1f} s, {theirs / mine:.1f} times as fast;"
        f" peak memory {max(package.peak) / 1e6:.0f} MB and {max(ours.peak) / 1e6:.0f} MB ({memory:.2f})"
    )


if __name__ == "__main__":
    main()
