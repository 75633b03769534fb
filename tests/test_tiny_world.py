"""The picture world: reproducible pictures, true captions, triples that are really kept out."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from sd_app.tiny import data, drawing, stages, world
from sd_app.tiny.caption_reader import read_caption
from sd_app.tiny.loop import Stage, run_stage
from sd_app.tiny.optim import orthogonalize
from sd_app.tiny.wordpiece import build_caption_tokenizer
from tests import drawings


def scenes(count: int, *, held_out: bool | None = False) -> list[world.Scene]:
    rng = np.random.default_rng(0)
    return [world.random_scene(rng, held_out=held_out) for _ in range(count)]


def test_the_same_seed_draws_the_same_picture():
    scene = scenes(1)[0]
    first, second = (drawing.render(scene, np.random.default_rng(3)) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != drawing.render(scene, np.random.default_rng(4)).tobytes()


@pytest.mark.parametrize("subject", world.SUBJECTS)
@pytest.mark.parametrize("style", world.STYLES)
def test_every_subject_is_visible_in_every_style(subject: str, style: str):
    scene = world.Scene(subject=subject, color="red", background="white", style=style)
    with_subject = np.asarray(drawing.render(scene, np.random.default_rng(0)), float)
    assert with_subject.shape == (128, 128, 3)
    reddish = with_subject[..., 0] - with_subject[..., 1] > 60
    assert 0.02 < reddish.mean() < 0.5, "the subject covers a sensible part of the picture"


@pytest.mark.parametrize("background", world.BACKGROUNDS)
def test_every_background_reaches_the_corners(background: str):
    color = "red" if background != "red" else "blue"
    scene = world.Scene(subject="circle", color=color, background=background, size="small")
    corners = np.asarray(drawing.render(scene, np.random.default_rng(0)))[[0, 0, -1, -1], [0, -1, 0, -1]]
    if background in world.COLORS:
        assert np.abs(corners.astype(int) - world.COLORS[background]).max() <= 6


def test_a_caption_states_only_what_is_true():
    rng = np.random.default_rng(1)
    for scene in scenes(300):
        text, stated = world.caption(scene, rng)
        for name in world.ATTRIBUTES:
            assert getattr(stated, name) in (None, getattr(scene, name))
        if stated.subject:
            assert any(word in text for word in world.SUBJECT_WORDS[stated.subject])
        if stated.color:
            assert any(word in text for word in world.COLOR_WORDS[stated.color])
        assert stated.style is not None or scene.style != "pixel art" or "pixel" not in text


def test_a_full_caption_leaves_nothing_out():
    rng = np.random.default_rng(1)
    for scene in scenes(50):
        assert world.caption(scene, rng, full=True)[1] == scene


def test_a_caption_reads_back_as_what_it_states():
    rng = np.random.default_rng(1)
    for scene in scenes(500, held_out=None):
        text, stated = world.caption(scene, rng)
        assert read_caption(text) == stated, text
        assert read_caption(world.plain_caption(scene).upper()) == scene


@pytest.mark.parametrize(
    ("text", "subject", "color", "background"),
    [
        ("a cat under the stars", "cat", None, "night sky"),
        ("orange on green", None, "orange", "green"),
        ("a dog on a green field", "dog", None, "meadow"),
        ("a caravan, starry", None, None, None),
        ("", None, None, None),
    ],
)
def test_words_count_whole_and_a_background_is_no_subject(text, subject, color, background):
    read = read_caption(text)
    assert (read.subject, read.color, read.background) == (subject, color, background)


def test_the_captioners_vocabulary_holds_every_word_of_the_captions():
    tokenizer = build_caption_tokenizer()
    rng = np.random.default_rng(2)
    for scene in scenes(200, held_out=None):
        for text in (world.plain_caption(scene), world.caption(scene, rng, full=True)[0]):
            pieces = tokenizer.tokenize(text)
            assert not [piece for piece in pieces if piece.startswith("##") or piece == "[UNK]"], pieces
            assert len(pieces) + 2 <= tokenizer.model_max_length


def test_indices_round_trip_and_mark_the_unsaid():
    scene = dataclasses.replace(scenes(1)[0], size=None, place=None)
    indices = world.to_indices(scene)
    assert indices[3:5] == [world.NOT_STATED] * 2
    assert world.from_indices(indices) == scene


def test_held_out_triples_never_reach_training():
    assert not any(world.is_held_out(scene) for scene in scenes(400, held_out=False))
    assert all(world.is_held_out(scene) for scene in scenes(100, held_out=True))
    share = np.mean([world.is_held_out(scene) for scene in scenes(2000, held_out=None)])
    assert 0.03 < share < 0.12


def test_drawn_sets_depend_on_seed_and_index_alone(tmp_path):
    one = data.load_or_draw(tmp_path / "one", 6, seed=5, held_out=False, workers=1)
    two = data.load_or_draw(tmp_path / "two", 4, seed=5, held_out=False, workers=2)
    assert np.array_equal(one.pixels[:4], two.pixels)
    assert np.array_equal(one.attributes[:4], two.attributes)
    assert one.tokens.shape == (6, data.CAPTIONS_PER_PICTURE, 77)
    assert (one.tokens[..., 0] == 49_406).all()
    assert (one.tokens[..., -1] == 49_407).all()


def test_contrast_spares_a_caption_that_is_true_of_two_pictures():
    same = world.Scene(subject="cat", color="red", background="sea")
    attributes = torch.tensor(
        [world.to_indices(same), world.to_indices(dataclasses.replace(same, size="small"))]
    )
    vague = torch.tensor([world.to_indices(dataclasses.replace(same, size=None, place=None, style=None))] * 2)
    features = torch.nn.functional.normalize(torch.ones(2, 4), dim=-1)
    scale = torch.tensor(2.0)
    spared = stages.contrastive_loss(features, features, scale, attributes, vague)
    punished = stages.contrastive_loss(features, features, scale, attributes, attributes)
    assert spared.item() == pytest.approx(0, abs=1e-6)
    assert punished.item() == pytest.approx(np.log(2), abs=1e-5)


def test_orthogonalize_brings_singular_values_near_one():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(2, 24, 60)))
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_tied_weights_are_averaged_once(tmp_path):
    """Averages start at the first weights, which a long window keeps in view; tying must not shorten it."""

    def train(tied: bool) -> torch.Tensor:
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
        if tied:
            module[1].weight = module[0].weight

        def loss(rng: np.random.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
            value = (module[0](torch.ones(2, 4)) - 3).square().mean()
            return value, {"mse": value.item()}

        folder = tmp_path / str(tied)
        folder.mkdir()
        stage = Stage(name="toy", modules={"m": module}, loss=loss, steps=5, muon_lr=0.1, adam_lr=0.1, seed=1)
        return run_stage(stage, folder)["m"].state_dict()["0.weight"]

    assert torch.equal(train(tied=True), train(tied=False))


def test_training_goes_on_where_it_stopped(tmp_path):
    """An interrupted run ends with the weights of an unbroken one."""

    def stage(steps: int) -> Stage:
        torch.manual_seed(0)
        module = torch.nn.Linear(6, 3)

        def loss(rng: np.random.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
            inputs = torch.from_numpy(rng.normal(size=(8, 6)).astype(np.float32))
            value = (module(inputs) - inputs[:, :3]).square().mean()
            return value, {"mse": value.item()}

        return Stage(
            name="toy", modules={"m": module}, loss=loss, steps=steps, muon_lr=1e-2, adam_lr=1e-2, seed=1
        )

    unbroken_folder, broken_folder = tmp_path / "unbroken", tmp_path / "broken"
    unbroken_folder.mkdir()
    broken_folder.mkdir()
    unbroken = run_stage(stage(12), unbroken_folder)
    interrupted, calls = stage(12), []

    def stop_at_the_sixth(rng: np.random.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        calls.append(progress)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return interrupted.loss(rng, progress)

    with pytest.raises(KeyboardInterrupt):
        run_stage(dataclasses.replace(interrupted, loss=stop_at_the_sixth), broken_folder)
    assert torch.load(broken_folder / "toy.pt")["step"] == 5
    resumed = run_stage(stage(12), broken_folder)
    for key, value in unbroken["m"].state_dict().items():
        assert torch.equal(value, resumed["m"].state_dict()[key])


def test_every_drawing_is_the_one_that_the_models_learned() -> None:
    """To the byte: see tests/drawings.py if a new Pillow draws otherwise."""
    expected = json.loads(drawings.FILE.read_text())
    found = {name: drawings.digest(scene) for name, scene in drawings.scenes().items()}
    assert found == expected
