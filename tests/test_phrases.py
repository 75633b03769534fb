"""The phrase lists, and their tables on disk."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from sd_app.interrogator import phrases, tables
from sd_app.interrogator.clip import Clip, load_clip
from sd_app.interrogator.models import find_clip
from sd_app.interrogator.phrases import PhraseGroup, default_names, list_groups, load_groups, read_phrases
from sd_app.requests import Cancelled
from sd_app.settings import EMBEDDED_DIR, Settings
from sd_app.tiny.phrase_lists import make_phrases

CLIP_FOLDER = EMBEDDED_DIR / "tiny-clip"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty models folder; its phrases folder is there."""
    (tmp_path / "models" / "phrases").mkdir(parents=True)
    return Settings(models_dir=tmp_path / "models", cache_dir=tmp_path / "cache")


@pytest.fixture(scope="module")
def clip() -> Clip:
    return load_clip(find_clip(Settings(), None), torch.device("cpu"), torch.float32)


def user_file(settings: Settings, content: bytes, name: str = "mine.txt") -> Path:
    path = settings.models_dir / "phrases" / name
    path.write_bytes(content)
    return path


def test_the_packages_lists_are_read_without_its_code(settings: Settings) -> None:
    groups = {g.name: g.phrases for g in load_groups(settings, None, None)}
    assert {name: len(found) for name, found in groups.items()} == {
        "artists": 10_530, "flavors": 100_954, "mediums": 95, "movements": 200, "trending": 72,
    }  # fmt: skip
    assert groups["artists"][0].startswith("by ")
    assert groups["artists"][-1].startswith("inspired by ")
    assert "featured on Artstation" in groups["trending"]
    code = (
        "import sys; from sd_app.interrogator.phrases import *; from sd_app import Settings\n"
        "load_groups(Settings(), None, None); print({'clip_interrogator', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_embedded_clips_lists_are_its_worlds_words() -> None:
    groups = {g.name: g.phrases for g in load_groups(Settings(), CLIP_FOLDER, None)}
    assert groups == {name: tuple(dict.fromkeys(words)) for name, words in make_phrases().items()}
    assert "an orange kitten" in groups["things"]
    assert "flavors" in list_groups(Settings(), CLIP_FOLDER)


def test_groups_can_be_switched_off_and_unknown_ones_are_refused(settings: Settings) -> None:
    assert [g.name for g in load_groups(settings, None, ("mediums", "movements"))] == ["mediums", "movements"]
    with pytest.raises(ValueError, match=r"groups must be among artists, flavors, .*; got 'painters'"):
        load_groups(settings, None, ("mediums", "painters"))


def test_a_users_file_is_a_group_of_its_own_and_searched_by_default(settings: Settings) -> None:
    user_file(settings, b"red cat\n")
    user_file(settings, b"my medium\n", "mediums.txt")
    assert "mine" in default_names(settings, None)
    assert {g.name: g.phrases for g in load_groups(settings, None, ("mine", "mediums"))} == {
        "mine": ("red cat",),
        "mediums": ("my medium",),
    }
    assert "mine" in default_names(settings, CLIP_FOLDER)


def test_negative_mode_has_the_negative_list_and_no_other_has(settings: Settings) -> None:
    assert default_names(settings, None, negative=True) == ("flavors", "negative")
    assert "negative" not in default_names(settings, None)


def test_a_hundred_thousand_lines_blank_ones_doubles_and_odd_spaces_are_fine(settings: Settings) -> None:
    lines = [f"  word   number {k % 60_000}\t\r\n\n" for k in range(100_000)]
    path = user_file(settings, b"\xef\xbb\xbf" + "".join(lines).encode())
    found = read_phrases(path)
    assert len(found) == 60_000
    assert found[:2] == ("word number 0", "word number 1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"fine\n\xff\xfe\n", r"mine.txt must be UTF-8, line 2 is not \(save it as UTF-8\)"),
        (b"fine\n" + b"x" * 1_000_000 + b"\nfine", r"at most 500 characters a line, line 2 has 1,000,000"),
        ("cat\n".encode("utf-16"), r"mine.txt must be UTF-8, line 1 is not"),
        (b"\n" * (phrases.MAX_LINES + 1), "at most 500,000 lines"),
        (b"\n \t\n\x00\n", "groups must hold a phrase, mine are empty"),
    ],
    ids=["not UTF-8", "1 MB line", "UTF-16", "too many lines", "empty"],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(settings: Settings, content, message) -> None:
    user_file(settings, content)
    with pytest.raises(ValueError, match=message):
        load_groups(settings, None, ("mine",))


def build(settings: Settings, clip: Clip, groups: list[PhraseGroup], progress=lambda *_: None):
    return tables.build_tables(groups, clip.tower, clip.key, settings.cache_dir, progress)


def test_a_table_is_half_precision_and_mapped_from_disk_the_second_time(settings, clip, monkeypatch) -> None:
    group = PhraseGroup(name="things", phrases=make_phrases()["things"])
    first = build(settings, clip, [group])[0]
    monkeypatch.setattr(clip.tower, "encode", None)  # a second encoding would fail
    second = build(settings, clip, [group])[0]
    exact = clip.tower.encode_padded(group.phrases)
    exact = exact / exact.norm(dim=-1, keepdim=True)
    picture = exact[7].numpy()
    assert second.shards[0].dtype == np.float16
    assert np.array_equal(first.cosines(picture), second.cosines(picture))
    assert np.allclose(second.cosines(picture), exact.numpy() @ picture, atol=1e-3)
    names = [m.path for m in psutil.Process().memory_maps()]
    assert any(name.startswith(str(settings.cache_dir)) for name in names)


def test_a_stopped_build_goes_on_where_it_was(settings, clip, monkeypatch) -> None:
    monkeypatch.setattr(tables, "SHARD_PHRASES", 100)
    group = PhraseGroup(name="things", phrases=make_phrases()["things"])

    def stop(done: int, total: int) -> None:
        assert total == len(group.phrases)
        if done > 250:
            raise Cancelled

    with pytest.raises(Cancelled):
        build(settings, clip, [group], stop)
    files = list(settings.cache_dir.rglob("*"))
    assert sum(path.suffix == ".safetensors" for path in files) == 2
    assert not [path for path in files if path.suffix == ".partial"]
    encoded: list[str] = []
    encode = clip.tower.encode

    def watched(texts, tick):
        encoded.extend(texts)
        return encode(texts, tick)

    monkeypatch.setattr(clip.tower, "encode", watched)
    build(settings, clip, [group])
    assert encoded == list(group.phrases[200:])


def test_a_damaged_file_is_made_again(settings, clip) -> None:
    group = PhraseGroup(name="things", phrases=make_phrases()["things"][:20])
    good = build(settings, clip, [group])[0].shards[0].copy()
    (path,) = settings.cache_dir.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:300])
    assert np.array_equal(build(settings, clip, [group])[0].shards[0], good)


def test_the_key_tells_weights_and_structure_apart(clip: Clip) -> None:
    assert tables.tower_key(clip.tower) == clip.key
    bias = clip.model.ln_final.bias
    with torch.no_grad():
        bias[0] += 1
        changed = tables.tower_key(clip.tower)
        bias[0] -= 1
    block = clip.model.transformer.resblocks[0]
    gelu, block.mlp.gelu = block.mlp.gelu, torch.nn.ReLU()
    other = tables.tower_key(clip.tower)
    block.mlp.gelu = gelu
    assert len({clip.key, changed, other}) == 3


def test_without_the_package_the_error_says_how_to_get_it(settings, monkeypatch) -> None:
    monkeypatch.setattr(phrases, "PACKAGE", "no-such-package")
    with pytest.raises(OSError, match="pip install -r requirements"):
        load_groups(settings, None, None)
