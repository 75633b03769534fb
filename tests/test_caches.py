"""What is not computed twice: counted by hooks on the real networks, compared byte for byte."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import pytest
import torch
from PIL import Image

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
from sd_app.generation.vae import encode_image
from sd_app.weights.caches import Cache, bytes_of, cached_bytes, fingerprint, forget
from sd_app.weights.pipeline import Pipeline

SAMPLING: dict[str, Any] = {"seed": 1, "num_inference_steps": 2, "width": 64, "height": 64}
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
MASK = Image.new("L", PICTURE.size)
MASK.paste(255, (8, 8, 40, 40))

TXT2IMG = Txt2ImgRequest(prompt="a (red:1.2) cat", negative_prompt="blue", **SAMPLING)
IMG2IMG = Img2ImgRequest(prompt="a red cat", init_image=PICTURE, **SAMPLING)
INPAINT = InpaintRequest(prompt="a red cat", init_image=PICTURE, mask_image=MASK, **SAMPLING)
REQUESTS = {
    "txt2img": TXT2IMG,
    "img2img": IMG2IMG,
    "inpaint": replace(INPAINT, masked_content="fill"),
    "blend": BlendRequest(expression="cat + 0.4*dog", prompt="a {}", **SAMPLING),
    "walk": WalkRequest(a="cat", b="dog", prompt="a {}", frames=3, film="none", **SAMPLING),
    "plane": PlaneRequest(a="cat", b="kitten", direction="dog", prompt="a {}", rows=2, columns=2, **SAMPLING),
}


def tensor_of(megabytes: float) -> torch.Tensor:
    return torch.zeros(int(megabytes * 2**20), dtype=torch.uint8)


def parts(studio: Studio, model: str) -> Pipeline:
    with studio._ready_manager().pipeline(model, "DDIM") as pipe:
        return pipe


@contextmanager
def counted(studio: Studio, model: str) -> Iterator[dict[str, int]]:
    """Count the calls of text encoders, VAE encoder and VAE decoder; a decode of results is one a batch."""
    pipe, calls = parts(studio, model), {"text": 0, "encode": 0, "decode": 0}
    networks = [(pipe.text_encoder, "text"), (pipe.vae.encoder, "encode"), (pipe.vae.decoder, "decode")]
    if pipe.is_xl:
        networks.append((pipe.text_encoder_2, "text"))

    def count(name: str) -> Callable[[Unpack[tuple[object, ...]]], None]:
        def hook(*_: object) -> None:
            calls[name] += 1

        return hook

    hooks = [network.register_forward_pre_hook(count(name)) for network, name in networks]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def forget_all(studio: Studio, model: str) -> None:
    pipe = parts(studio, model)
    forget(*pipe.text_encoders, pipe.vae)


def make(studio: Studio, name: str, request: Txt2ImgRequest) -> list[bytes]:
    return [image.tobytes() for image in getattr(studio, name)(request, save=False).images]


@pytest.mark.parametrize("name", REQUESTS)
def test_the_same_words_and_picture_are_encoded_once_and_give_the_same_bytes(random_studio, name):
    request = REQUESTS[name]
    forget_all(random_studio, "model-a")
    with counted(random_studio, "model-a") as calls:
        first = make(random_studio, name, request)
        assert calls["text"] >= 2
        needed = dict(calls)
        again = make(random_studio, name, request)
    assert calls["text"] == needed["text"]
    assert calls["encode"] == needed["encode"]
    assert calls["decode"] == 2 * needed["decode"] - (name in ("img2img", "inpaint"))  # the round trip's
    assert needed["encode"] == {"img2img": 1, "inpaint": 2}.get(name, 0)
    forget_all(random_studio, "model-a")
    assert first == again == make(random_studio, name, request)


@pytest.mark.parametrize(
    ("change", "calls_needed"),
    [
        ({"seed": 9}, 0),
        ({"negative_prompt": "green"}, 1),
        ({"prompt": "a (red:1.4) cat"}, 0),  # a weight counts after the encoder
        ({"clip_skip": 2}, 2),
        ({"prompt": "a red dog"}, 1),
        ({"prompt": "blue", "negative_prompt": "a red cat"}, 0),
        ({"num_images": 3}, 0),
    ],
)
def test_only_what_changes_what_the_encoder_reads_has_it_read_again(random_studio, change, calls_needed):
    make(random_studio, "txt2img", TXT2IMG)
    with counted(random_studio, "model-a") as calls:
        make(random_studio, "txt2img", replace(TXT2IMG, **change))
    assert calls["text"] == calls_needed


@pytest.mark.parametrize("space", ["all", "row", "input"])
def test_expressions_are_worked_out_on_cached_windows_to_the_same_numbers(random_studio, space):
    prompt, other = f"a {{{space}: cat + 0.5*dog}}", f"a {{{space}: cat + 0.6*dog}}"
    forget_all(random_studio, "model-a")
    first, different = (random_studio.encode(text).embeds for text in (prompt, other))
    with counted(random_studio, "model-a") as calls:
        again = random_studio.encode(prompt).embeds
    assert calls["text"] == 0
    assert np.array_equal(first, again)
    assert not np.array_equal(first, different)
    plain = random_studio.encode(
        "a cat"
    ).embeds  # what the edited encoder gave is not taken for the plain one
    forget_all(random_studio, "model-a")
    assert np.array_equal(plain, random_studio.encode("a cat").embeds)


def test_sdxls_two_encoders_and_pooled_vectors_are_kept_too(sdxl_models, tmp_path):
    studio = Studio(Settings(models_dir=sdxl_models, model="xl", outputs_dir=tmp_path, device="cpu"))
    request = Txt2ImgRequest(prompt="a cat", negative_prompt="dog", **SAMPLING)
    first = make(studio, "txt2img", request)
    with counted(studio, "xl") as calls:
        assert make(studio, "txt2img", request) == first
    assert calls["text"] == 0
    forget_all(studio, "xl")
    assert make(studio, "txt2img", request) == first


def test_a_checkpoint_made_for_inpainting_encodes_picture_and_masked_picture_once(inpaint_models, tmp_path):
    studio = Studio(Settings(models_dir=inpaint_models, model="painter", outputs_dir=tmp_path, device="cpu"))
    with counted(studio, "painter") as calls:
        first = make(studio, "inpaint", INPAINT)
        assert calls["encode"] == 2
        assert make(studio, "inpaint", INPAINT) == first
        assert calls["encode"] == 2
        moved = Image.new("L", MASK.size)
        moved.paste(255, (0, 0, 24, 24))
        make(studio, "inpaint", replace(INPAINT, mask_image=moved))
        assert calls["encode"] == 3  # the masked picture only


def test_img2img_and_inpaint_share_the_encoded_picture(random_studio):
    make(random_studio, "img2img", IMG2IMG)
    with counted(random_studio, "model-a") as calls:
        make(random_studio, "inpaint", INPAINT)
    assert calls["encode"] == 0


def test_one_other_pixel_is_another_picture(random_studio):
    make(random_studio, "img2img", IMG2IMG)
    pixels = np.array(PICTURE)
    pixels[3, 3, 0] ^= 1
    other = Image.fromarray(pixels)
    with counted(random_studio, "model-a") as calls:
        make(random_studio, "img2img", replace(IMG2IMG, init_image=other))
    assert calls["encode"] == 1


def test_tiles_encode_to_something_else_and_are_kept_apart(random_studio):
    with random_studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        whole = encode_image(pipe, PICTURE)
        pipe.vae.enable_tiling()
        sides = pipe.vae.tile_sample_min_size, pipe.vae.tile_latent_min_size
        pipe.vae.tile_sample_min_size, pipe.vae.tile_latent_min_size = 32, 4
        tiled = encode_image(pipe, PICTURE)
        pipe.vae.tile_sample_min_size, pipe.vae.tile_latent_min_size = sides
        pipe.vae.disable_tiling()
        assert not torch.equal(whole, tiled)
        assert encode_image(pipe, PICTURE) is whole


def test_who_spoils_a_results_picture_spoils_no_later_one(random_studio):
    first = random_studio.img2img(IMG2IMG, save=False).start_images[0]
    expected = first.tobytes()
    first.paste(0, (0, 0, 64, 64))
    assert random_studio.img2img(IMG2IMG, save=False).start_images[0].tobytes() == expected


def test_jobs_leave_what_is_kept_as_it_was(random_studio):
    pipe = parts(random_studio, "model-a")
    kept = encode_image(pipe, PICTURE)
    before = kept.clone()
    for name in ("img2img", "inpaint"):
        make(random_studio, name, REQUESTS[name])
    assert encode_image(pipe, PICTURE) is kept
    assert torch.equal(kept, before)


def test_what_is_kept_counts_with_the_checkpoint_and_goes_with_it(random_studio):
    manager = random_studio._ready_manager()
    pipe = parts(random_studio, "model-a")
    forget_all(random_studio, "model-a")
    plain = manager._checkpoints["model-a"].size_bytes
    make(random_studio, "img2img", IMG2IMG)
    kept = cached_bytes(pipe.text_encoder) + cached_bytes(pipe.vae)
    windows, latents, picture = 2 * 77 * 32 * 4, 4 * 8 * 8 * 4, 64 * 64 * 3
    assert kept == windows + latents + picture
    assert manager._checkpoints["model-a"].size_bytes == plain + kept
    random_studio.unload()
    pipe = parts(random_studio, "model-a")
    assert cached_bytes(pipe.text_encoder) == cached_bytes(pipe.vae) == 0


def test_a_cache_keeps_what_was_used_last_within_entries_and_bytes():
    cache, made = Cache(max_entries=3, max_bytes=4 * 2**20), []

    def ask(key: str, megabytes: float = 1) -> None:
        cache.get(key, lambda: made.append(key) or tensor_of(megabytes))  # type: ignore[func-returns-value]

    for key in "abcab":
        ask(key)
    assert made == ["a", "b", "c"]
    ask("d")  # c is the one unused for longest
    ask("a")
    ask("c")
    assert made == ["a", "b", "c", "d", "c"]
    ask("large", 3.5)
    assert (len(cache), cache.size_bytes) == (1, int(3.5 * 2**20))
    ask("too large", 5)
    assert len(cache) == 1
    ask("large")
    assert made[-1] == "too large"


def test_a_failed_making_keeps_nothing():
    cache = Cache()
    with pytest.raises(MemoryError):
        cache.get("a", lambda: (_ for _ in ()).throw(MemoryError()))
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_a_fingerprint_tells_shape_type_and_every_number():
    base = torch.arange(12, dtype=torch.float32).reshape(1, 3, 2, 2)
    changed = base.clone()
    changed[0, 2, 1, 1] += 1e-5
    others = [base.reshape(1, 3, 4, 1), base.half(), changed, base.transpose(2, 3)]
    assert len({fingerprint(tensor) for tensor in [base, *others]}) == 5
    assert fingerprint(base) == fingerprint(base.clone())
    assert bytes_of(base) == 48
