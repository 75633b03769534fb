"""Prompts that change on the way or are joined by AND, through the picture: what the U-Net reads when."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from sd_app import (
    BlendRequest,
    Img2ImgRequest,
    InpaintRequest,
    PlaneRequest,
    Settings,
    Studio,
    Txt2ImgRequest,
    WalkRequest,
)
from sd_app.expressions.editing import readings
from sd_app.probes.observers import LoopStart, Observer, StepTaken, UNetCall
from sd_app.speed.calls import compose
from sd_app.text import embeddings
from tests.test_prompt_editing import MORE, TABLE

SMALL: dict[str, Any] = {"width": 64, "height": 64, "seed": 3, "guidance_scale": 5.0, "scheduler": "DDIM"}
REQUEST = Txt2ImgRequest(prompt="a", negative_prompt="blue", num_inference_steps=10, **SMALL)
PICTURE = Image.effect_noise((64, 64), 80).convert("RGB")
MASK = Image.new("L", (64, 64))
MASK.paste(255, (16, 16, 48, 48))
LONG = ", ".join(["a big orange cat on the beach"] * 12)  # two windows


class Read(Observer):
    """Keep what reaches the U-Net, and what the loop says of it."""

    def __init__(self) -> None:
        self.texts: list[Tensor] = []  # encoder_hidden_states, (R, 77*n, D), of each time the U-Net is run
        self.starts: list[LoopStart] = []
        self.calls: list[UNetCall] = []
        self.steps: list[StepTaken] = []

    def before_loop(self, start: LoopStart) -> None:
        self.starts.append(start)

    def on_unet_call(self, call: UNetCall) -> None:
        self.calls.append(call)

    def on_step(self, step: StepTaken) -> None:
        self.steps.append(step)

    @contextmanager
    def listening(self, unet) -> Iterator[None]:
        def keep(_module, _args, kwargs) -> None:
            self.texts.append(kwargs["encoder_hidden_states"].clone())

        handle = unet.register_forward_pre_hook(keep, with_kwargs=True)
        yield
        handle.remove()


@pytest.fixture(scope="module")
def studio(random_models, tmp_path_factory) -> Studio:
    """A U-Net of a few layers with random weights: what it reads is all that counts here."""
    return Studio(
        Settings(models_dir=random_models, outputs_dir=tmp_path_factory.mktemp("outputs"), model="model-a")
    )


def watch(studio, request) -> tuple[Read, Image.Image]:
    seen = Read()
    kinds = {InpaintRequest: studio.inpaint, Img2ImgRequest: studio.img2img}
    draw = kinds.get(type(request), studio.txt2img)
    return seen, draw(request, save=False, observers=[seen]).images[0]


def plain(studio, prompt: str, **changed) -> bytes:
    return watch(studio, replace(REQUEST, prompt=prompt, **changed))[1].tobytes()


def pair(studio, prompt: str, negative_prompt: str) -> Tensor:
    """Return what the U-Net reads in a run of these two alone: the negative row, then the other."""
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        positive, negative = embeddings.encode_pair(pipe, prompt, negative_prompt)
    return torch.cat([negative, positive])


@pytest.mark.parametrize("prompt", [p for p in (*TABLE, *MORE) if "lora" not in p])
def test_before_the_switch_the_unet_reads_the_first_text_and_after_it_the_second_to_the_bit(studio, prompt):
    seen, _ = watch(studio, replace(REQUEST, prompt=prompt))
    assert len(seen.texts) == 10
    for step, reading in enumerate(readings(prompt, 10)):
        assert torch.equal(seen.texts[step], pair(studio, reading.texts[0], "blue")), step
        assert seen.calls[step].prompts.texts == reading.texts


def test_the_negative_prompt_changes_too_and_both_keep_their_own_steps(studio):
    request = replace(REQUEST, prompt="[cat:dog:3]", negative_prompt="[red|blue]")
    seen, _ = watch(studio, request)
    for step in range(10):
        prompt, negative = "dog" if step >= 3 else "cat", "blue" if step % 2 else "red"
        assert torch.equal(seen.texts[step], pair(studio, prompt, negative))
        assert seen.calls[step].prompts.negative_text == negative


def test_texts_of_different_windows_are_read_at_the_size_each_pair_has_alone(studio):
    seen, _ = watch(studio, replace(REQUEST, prompt=f"[cat:{LONG}:2]", num_inference_steps=4))
    assert [text.shape[1] // 77 for text in seen.texts] == [1, 1, 2, 2]
    assert torch.equal(seen.texts[3], pair(studio, LONG, "blue"))


def test_a_switch_at_either_end_is_the_plain_picture_to_the_byte(studio):
    assert plain(studio, "a [cat:dog:0]") == plain(studio, "a dog")
    assert plain(studio, "a [cat:dog:1.0]") == plain(studio, "a cat")
    assert plain(studio, "[a cat|a cat]") == plain(studio, "a cat")
    assert plain(studio, "a [cat:dog:0.5]") not in (plain(studio, "a dog"), plain(studio, "a cat"))


def test_steps_before_the_switch_are_those_of_the_first_prompts_run(studio):
    both, _ = watch(studio, replace(REQUEST, prompt="a [cat:dog:6]"))
    first, _ = watch(studio, replace(REQUEST, prompt="a cat"))
    same = [torch.equal(a.noise_pred, b.noise_pred) for a, b in zip(both.steps, first.steps, strict=True)]
    assert same == [True] * 6 + [False] * 4


@pytest.mark.parametrize("scheduler", ["Heun", "Euler a", "DPM++ 2M Karras", "UniPC"])
def test_steps_are_counted_not_calls(studio, scheduler):
    seen, _ = watch(
        studio, replace(REQUEST, prompt="[cat:dog:2]", scheduler=scheduler, num_inference_steps=4)
    )
    for call, step in zip(seen.calls, seen.steps, strict=True):
        assert call.prompts.texts == (("cat",) if step.step < 2 else ("dog",))


@pytest.mark.parametrize("kind", [Img2ImgRequest, InpaintRequest])
def test_from_a_picture_steps_are_counted_from_the_first_that_is_run(studio, kind):
    pictures = {"init_image": PICTURE} | ({"mask_image": MASK} if kind is InpaintRequest else {})
    request = kind(**vars(replace(REQUEST, prompt="[cat:dog:0.3]")), **pictures, strength=0.6)
    seen, _ = watch(studio, request)
    assert [call.prompts.texts[0] for call in seen.calls] == ["cat"] * 3 + ["dog"] * 3


def test_a_text_is_encoded_once_however_many_steps_read_it(studio, monkeypatch):
    encoded = []
    original = embeddings.Encoder.encode

    def count(self, template, num_chunks=1):
        encoded.append(template.fill(template.first_phrases))
        return original(self, template, num_chunks)

    monkeypatch.setattr(embeddings.Encoder, "encode", count)
    seen, _ = watch(studio, replace(REQUEST, prompt="[cat|dog|{cat + dog}]"))
    assert sorted(encoded) == sorted(["cat", "dog", "cat", *["blue"] * 3])
    assert len({id(call.prompts) for call in seen.calls}) == 3


def test_several_pictures_read_the_same_texts_and_each_can_be_made_alone(studio):
    request = replace(REQUEST, prompt="[cat:dog:1]", num_inference_steps=2)
    seen = Read()
    both = studio.txt2img(replace(request, num_images=2), save=False, observers=[seen]).images
    assert [call.prompts.texts for call in seen.calls] == [("cat",) * 2, ("dog",) * 2]
    alone = watch(studio, replace(request, seed=4))[1]
    assert max(abs(a - b) for a, b in zip(alone.tobytes(), both[1].tobytes(), strict=True)) <= 2


def test_keys_and_values_kept_for_a_text_change_no_bit_when_texts_take_turns(studio):
    """A hook on the U-Net's parts leaves the kept keys on; needs_every_part runs each part as it is."""

    class EveryPart(Read):
        needs_every_part = True

    request = replace(REQUEST, prompt="[" + "|".join(f"cat {'big ' * n}" for n in range(10)) + "]")
    seen = EveryPart()
    looked = studio.txt2img(request, save=False, observers=[seen]).images[0]
    assert watch(studio, request)[1].tobytes() == looked.tobytes()
    for step in range(10):
        assert torch.equal(seen.texts[step], pair(studio, f"cat {'big ' * step}", "blue"))


def test_reused_features_are_never_those_of_another_text(studio):
    request = replace(REQUEST, prompt="[cat:dog:4]", cache_interval=3, num_inference_steps=8)
    seen, _ = watch(studio, request)
    assert [call.is_full for call in seen.calls] == [True, False, False, True, True, False, True, False]


def test_that_nothing_is_reused_where_the_text_changes_at_each_step_is_said(studio):
    def notice(prompt: str, negative_prompt: str = "") -> str:
        changed: dict[str, Any] = {"cache_interval": 3, "num_inference_steps": 4}
        request = replace(REQUEST, prompt=prompt, negative_prompt=negative_prompt, **changed)
        return studio.txt2img(request, save=False).notice or ""

    assert "deep blocks are run at every step" in notice("[cat|dog]")
    assert "deep blocks are run at every step" in notice("cat", "[red|blue]")
    assert "deep blocks" not in notice("[cat:dog:2]") + notice("cat") + notice("[cat|cat|dog]")


# -- AND


def test_and_adds_what_each_prompt_pulls_from_the_negative_one(studio):
    seen, picture = watch(studio, replace(REQUEST, prompt="a cat AND a dog:0.7 AND red:-0.2"))
    first = seen.calls[0]
    for number, prompt in enumerate(("a cat ", " a dog", " red")):
        alone = watch(studio, replace(REQUEST, prompt=prompt))[0].calls[0]
        assert torch.allclose(first.conditionals[number], alone.conditional, atol=1e-5)
        assert first.unconditional is not None
        assert alone.unconditional is not None
        assert torch.allclose(first.unconditional, alone.unconditional, atol=1e-5)
    for call, step in zip(seen.calls, seen.steps, strict=True):
        u, (cat, dog, red) = call.unconditional, call.conditionals
        assert u is not None
        expected = u + 5 * ((cat - u) + 0.7 * (dog - u) - 0.2 * (red - u))
        assert torch.allclose(step.noise_pred, expected, atol=1e-5)
        assert call.prompts.weights == (1, 0.7, -0.2)
    assert picture.tobytes() != plain(studio, "a cat")


def test_parts_of_weight_0_leave_the_other_prompts_picture_to_the_byte(studio):
    assert plain(studio, f"a cat AND {LONG}:0") == plain(studio, "a cat")
    assert plain(studio, "dog:0 AND a cat") == plain(studio, "a cat")


def test_half_and_half_of_one_prompt_is_that_prompt_and_twice_it_is_twice_the_guidance(studio):
    def latents(prompt: str, **changed) -> Tensor:
        return watch(studio, replace(REQUEST, prompt=prompt, **changed))[0].steps[-1].next_latents

    assert torch.allclose(latents("cat:0.5 AND cat:0.5"), latents("cat"), atol=1e-4)
    assert torch.allclose(latents("cat AND cat"), latents("cat", guidance_scale=10.0), atol=1e-4)
    assert torch.allclose(latents("cat:2 AND dog:0"), latents("cat", guidance_scale=10.0), atol=1e-4)


@pytest.mark.parametrize(("scale", "end"), [(1.0, 1.0), (5.0, 0.5)])
def test_without_guidance_and_after_its_end_and_still_adds_up(studio, scale, end):
    request = replace(REQUEST, prompt="cat AND dog:0.5", guidance_scale=scale, guidance_end=end)
    seen, _ = watch(studio, request)
    last, step = seen.calls[-1], seen.steps[-1]
    rows = torch.cat([pair(studio, "cat ", "blue"), pair(studio, " dog", "blue")[1:]])
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe, torch.no_grad():
        answers = pipe.unet(torch.cat([last.model_input] * 3), last.timestep, rows)[0].chunk(3)
    assert torch.allclose(step.noise_pred, compose(answers[0], answers[1:], (1, 0.5)), atol=1e-4)


def test_no_call_of_and_is_larger_than_a_plain_prompts(studio):
    seen, _ = watch(studio, replace(REQUEST, prompt="a AND b AND c AND d", num_inference_steps=2))
    assert [len(text) for text in seen.texts] == [2, 2, 1] * 2


def test_and_takes_turns_inside_and_each_prompt_has_the_windows_it_has_alone(studio):
    seen, _ = watch(studio, replace(REQUEST, prompt=f"[cat:dog:1] AND {LONG}:0.5", num_inference_steps=2))
    assert [call.prompts.texts for call in seen.calls] == [("cat ", f" {LONG}"), ("dog ", f" {LONG}")]
    for step, text in enumerate(("cat ", "dog ")):
        assert torch.equal(seen.texts[2 * step], pair(studio, text, "blue"))
        assert torch.equal(seen.texts[2 * step + 1], pair(studio, f" {LONG}", "blue")[1:])


@pytest.mark.parametrize("negative", ["blue", LONG])
def test_a_longer_prompt_of_hardly_any_weight_hardly_changes_the_picture(studio, negative):
    """An empty window to fill the shorter one up with would change it, however little the longer counts."""

    def last(prompt: str) -> Tensor:
        request = replace(REQUEST, prompt=prompt, negative_prompt=negative)
        return watch(studio, request)[0].steps[-1].next_latents

    whole = last("a cat")
    dog = "a dog:0.000001"
    for little in (f"a cat AND {LONG}:0.000001", f"a cat AND {dog} AND {LONG}:0.000001 AND {dog}"):
        assert torch.allclose(last(little), whole, rtol=0, atol=1e-4)


def test_and_works_from_a_picture_with_reuse_and_in_batches(studio):
    request = Img2ImgRequest(
        **vars(replace(REQUEST, prompt="cat AND dog:0.5", num_images=2, cache_interval=2)), init_image=PICTURE
    )
    both = studio.img2img(request, save=False).images
    alone = studio.img2img(replace(request, seed=4, num_images=1), save=False).images[0]
    assert max(abs(a - b) for a, b in zip(alone.tobytes(), both[1].tobytes(), strict=True)) <= 2


# -- arithmetic beside it


def test_walks_blends_and_planes_change_on_the_way_too(studio):
    asked: dict[str, Any] = {**SMALL, "num_inference_steps": 4, "prompt": "[{}:a house:2] AND red:0.3"}
    seen = Read()
    walk = WalkRequest(a="cat", b="dog", frames=3, film="none", **asked)
    pictures = studio.walk(walk, save=False, observers=[seen]).images
    assert [len(call.prompts.texts) for call in seen.calls] == [2] * 12
    assert seen.calls[3].prompts.texts == ("a house ", " red:0.3"[:4])
    ends = [f"[{end}:a house:2] AND red:0.3" for end in ("cat", "dog")]
    quiet = {"negative_prompt": "", "num_inference_steps": 4}
    assert [pictures[0].tobytes(), pictures[-1].tobytes()] == [plain(studio, end, **quiet) for end in ends]
    blend = studio.blend(BlendRequest(expression="mean(cat, dog)", space="all", **asked), save=False)
    assert blend.encoding.prompt == "{mean(cat, dog)} "
    plane = studio.plane(
        PlaneRequest(a="cat", b="dog", direction="red", rows=2, columns=2, **asked), save=False
    )
    assert len(plane.images) == 4


AROUND = ", ".join(["a"] * 37)  # 73 tokens: with one more word it is one window, with three it is two


@pytest.mark.parametrize("longer", ["big orange cat", "cat " * 160])
def test_ways_between_unequal_windows_are_refused_in_words_before_anything_is_drawn(studio, longer):
    asked: dict[str, Any] = {**SMALL, "num_inference_steps": 2, "prompt": AROUND + " {}"}
    seen = Read()
    walk = WalkRequest(a="cat", b=f'"{longer}"', frames=3, film="none", **asked)
    plane = PlaneRequest(a="cat", b="cat", direction=f'"{longer}"', rows=2, columns=2, space="all", **asked)
    blend = BlendRequest(expression=f'cat + 0.1*"{longer}"', space="all", **asked)
    for draw, request in ((studio.walk, walk), (studio.plane, plane), (studio.blend, blend)):
        with pytest.raises(ValueError, match=r"needs? 1, with .* [2-4], and tables of different heights"):
            draw(request, save=False, observers=[seen])
    assert not seen.calls


@pytest.mark.parametrize("longer", ["big orange cat", "cat " * 160])
def test_a_walk_of_its_ends_alone_has_the_plain_pictures_whatever_their_windows(studio, longer):
    asked: dict[str, Any] = {**SMALL, "num_inference_steps": 2}
    walk = WalkRequest(a="cat", b=f'"{longer}"', frames=2, film="none", prompt=AROUND + " {}", **asked)
    first, last = (image.tobytes() for image in studio.walk(walk, save=False).images)
    quiet = {"negative_prompt": "", "num_inference_steps": 2}
    assert first == plain(studio, f"{AROUND} cat", **quiet)
    assert last == plain(studio, f"{AROUND} {longer}", **quiet)
    nothing = f'{AROUND} {{cat*1 + "{longer}"*0}}'
    assert plain(studio, nothing, **quiet) == first
