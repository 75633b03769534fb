"""SDXL through the same studio, on tiny random checkpoints; diffusers' own pipeline is the yardstick."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from sd_app import BlendRequest, Img2ImgRequest, InpaintRequest, Settings, Studio, Txt2ImgRequest, WalkRequest
from sd_app.catalog import find_model
from sd_app.checkpoints.folders import PARTS, why_unusable
from sd_app.checkpoints.model_info import LATENT_RGB
from sd_app.expressions import parse_prompt
from sd_app.hub.plan import choose_weights
from sd_app.text.embeddings import Encoder
from sd_app.text.prompts import chunk, encode, pool_chunks
from sd_app.weights.pipeline import Pipeline
from sd_app.weights.scheduling import make_scheduler
from tests.checkpoint_files import write_checkpoint

PROMPT = "a drawing of a cat"


@pytest.fixture(scope="module")
def studio(sdxl_models, tmp_path_factory) -> Studio:
    return Studio(
        Settings(models_dir=sdxl_models, model="xl", outputs_dir=tmp_path_factory.mktemp("out"), batch_size=2)
    )


@pytest.fixture(scope="module")
def pipe(sdxl_models) -> Iterator[Pipeline]:
    with (
        Studio(Settings(models_dir=sdxl_models, model="xl"))._ready_manager().pipeline("xl", "Euler") as pipe
    ):
        yield pipe


@pytest.fixture(scope="module")
def theirs(sdxl_models) -> StableDiffusionXLPipeline:
    """diffusers' own pipeline, untouched."""
    pipe = StableDiffusionXLPipeline.from_pretrained(sdxl_models / "xl", add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = make_scheduler("Euler", pipe.scheduler.config)
    return pipe


def their_picture(theirs, **arguments) -> Image.Image:
    known = {"guidance_scale": 7.5, "num_inference_steps": 3, "width": 64, "height": 64}
    generator = torch.Generator().manual_seed(3)
    return theirs(**{**known, **arguments}, generator=[generator]).images[0]


def ask(request_type: Any = Txt2ImgRequest, **fields: Any) -> Any:
    return request_type(**{"prompt": PROMPT, "seed": 3, "num_inference_steps": 3, **fields})


def picture(side: int = 64) -> Image.Image:
    values = np.random.default_rng(5).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((side, side), Image.Resampling.BICUBIC)


def test_the_list_says_what_it_is(studio, sdxl_models):
    info, _, painter = studio.models()
    assert (info.name, info.family, info.native_size, info.only_inpaints) == ("xl", "sdxl", 64, False)
    assert info.latent_rgb == LATENT_RGB[0.13025]
    assert painter.only_inpaints
    weights = sum(file.stat().st_size for file in (sdxl_models / "xl").rglob("*.safetensors"))
    assert info.size_bytes == weights


@pytest.mark.parametrize("negative_prompt", ["", "blurry dog"])
@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
def test_the_picture_is_diffusers_own_to_the_byte(studio, theirs, negative_prompt, guidance_scale):
    """An empty negative prompt is zeros there, too."""
    ours = studio.txt2img(
        ask(negative_prompt=negative_prompt, guidance_scale=guidance_scale, width=64, height=64), save=False
    )
    expected = their_picture(
        theirs, prompt=PROMPT, negative_prompt=negative_prompt or None, guidance_scale=guidance_scale
    )
    assert ours.images[0].tobytes() == expected.tobytes()


def test_a_size_reaches_the_model_as_its_condition(studio, theirs):
    ours = studio.txt2img(ask(width=96, height=64), save=False).images[0]
    assert ours.tobytes() == their_picture(theirs, prompt=PROMPT, width=96).tobytes()
    other = their_picture(theirs, prompt=PROMPT, width=96, original_size=(1024, 1024))
    assert ours.tobytes() != other.tobytes()


def test_a_picture_of_a_batch_can_be_made_alone(studio):
    both = studio.txt2img(ask(num_images=2, width=64, height=64), save=False).images
    alone = studio.txt2img(ask(seed=4, width=64, height=64), save=False).images[0]
    assert np.abs(np.asarray(both[1], int) - np.asarray(alone, int)).max() <= 1


def test_a_plain_prompt_is_encoded_as_the_pipeline_does(pipe, theirs):
    rows, _, pooled, _ = theirs.encode_prompt(PROMPT, do_classifier_free_guidance=False)
    assert torch.equal(encode(pipe, PROMPT), rows)
    assert torch.equal(pool_chunks(pipe, chunk(pipe.tokenizer, PROMPT)), pooled)


def test_clip_skip_1_and_2_are_the_last_layer_but_one_and_3_goes_further(pipe, theirs):
    rows = [encode(pipe, PROMPT, clip_skip=number) for number in (1, 2, 3)]
    assert torch.equal(rows[0], rows[1])
    # diffusers counts from there: its 1 is our 3.
    further, *_ = theirs.encode_prompt(PROMPT, do_classifier_free_guidance=False, clip_skip=1)
    assert torch.equal(rows[2], further)
    with pytest.raises(ValueError, match="clip_skip must be at most 3"):
        encode(pipe, PROMPT, clip_skip=4)


def test_weights_count_in_each_encoder_by_itself_and_not_in_the_pooled_vector(pipe):
    plain, weighted = encode(pipe, "a big cat"), encode(pipe, "a (big:1.5) cat")
    for side in (slice(0, 64), slice(64, None)):
        row = weighted[0, 2, side] / plain[0, 2, side]
        other = weighted[0, 3, side] / plain[0, 3, side]
        assert torch.allclose(row, 1.5 * other, rtol=1e-3)
    pooled = [pool_chunks(pipe, chunk(pipe.tokenizer, text)) for text in ("a big cat", "a (big:1.5) cat")]
    assert torch.equal(*pooled)


def test_a_long_prompt_has_more_chunks_and_the_pooled_vector_of_its_first(pipe):
    long = "red, " * 30 + "BREAK a cat"
    assert encode(pipe, long).shape == (1, 154, 192)
    pooled = Encoder(pipe).pool(parse_prompt(long))
    assert torch.equal(pooled, Encoder(pipe).pool(parse_prompt("red, " * 30)))


def test_each_encoder_pads_in_its_own_way(pipe):
    assert (pipe.tokenizer.pad_token_id, pipe.tokenizer_2.pad_token_id) == (49407, 0)


def test_img2img_at_strength_1_is_txt2img_and_less_stays_nearer(studio):
    start = picture()
    plain = studio.txt2img(ask(width=64, height=64), save=False).images[0]
    full = studio.img2img(ask(Img2ImgRequest, init_image=start, strength=1.0), save=False)
    assert full.images[0].tobytes() == plain.tobytes()
    some = studio.img2img(ask(Img2ImgRequest, init_image=start, strength=0.4), save=False)
    again = studio.img2img(ask(Img2ImgRequest, init_image=start, strength=0.4), save=False)
    assert some.images[0].tobytes() == again.images[0].tobytes() != plain.tobytes()
    assert some.request.steps_run == 1


@pytest.mark.parametrize("model", ["xl", "xl-painter"])
def test_inpaint_keeps_the_unpainted_pixels_and_changes_the_others(studio, model):
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (16, 16, 48, 48))
    start = picture()
    for num_images in (1, 2):
        result = studio.inpaint(
            ask(
                InpaintRequest,
                model=model,
                init_image=start,
                mask_image=mask,
                strength=1.0,
                feather=0,
                num_images=num_images,
            ),
            save=False,
        )
        for image in result.images:
            changed = (np.asarray(image) != np.asarray(start)).any(axis=2)
            assert changed[np.asarray(mask) > 0].mean() > 0.9
            assert not changed[np.asarray(mask) == 0].any()


def test_a_model_made_for_inpainting_refuses_the_rest(studio):
    with pytest.raises(ValueError, match="xl-painter only inpaints"):
        studio.txt2img(ask(model="xl-painter"))


def test_arithmetic_works_on_rows_and_pooled_vector_alike(pipe):
    encoder = Encoder(pipe)
    cat, dog = (parse_prompt(f"a {word} here") for word in ("cat", "dog"))
    mixed = parse_prompt("a {cat + 0.5*dog} here")
    assert torch.equal(encoder.encode(mixed), encoder.encode(cat) + 0.5 * encoder.encode(dog))
    assert torch.equal(encoder.pool(mixed), encoder.pool(cat) + 0.5 * encoder.pool(dog))


def test_in_the_row_space_the_slots_rows_of_both_encoders_are_computed_with(pipe):
    encoder = Encoder(pipe)
    cat, dog = (encoder.encode(parse_prompt(f"a {word} here")) for word in ("cat", "dog"))
    mixed = encoder.encode(parse_prompt("a {row: cat + 0.5*dog} here"))
    expected = cat.clone()
    expected[0, 2] = cat[0, 2] + 0.5 * dog[0, 2]
    assert torch.equal(mixed, expected)


def test_the_input_space_is_refused_in_words(studio):
    with pytest.raises(ValueError, match=r"in the input space with SDXL.*use all: or row:"):
        studio.txt2img(ask(prompt="a {input: cat + dog}", width=64, height=64))
    assert studio.txt2img(ask(width=64, height=64), save=False).images


def test_prompts_change_on_the_way_with_their_pooled_vectors(studio):
    def drawn(prompt: str) -> bytes:
        return studio.txt2img(ask(prompt=prompt, width=64, height=64), save=False).images[0].tobytes()

    assert drawn("a [cat:dog:0]") == drawn("a dog")
    assert drawn("a [cat:dog:1.0]") == drawn("a cat") != drawn("a [cat:dog:1]")
    assert drawn("a cat AND a dog:0") == drawn("a cat ") != drawn("a cat AND a dog:0.5")


def test_blends_and_walks_begin_at_the_plain_picture(studio):
    size: dict[str, Any] = {"width": 64, "height": 64, "seed": 3, "num_inference_steps": 3}
    plain = studio.txt2img(ask(prompt="a cat here", width=64, height=64), save=False).images[0]
    blended = studio.blend(BlendRequest(expression="cat + 0*dog", prompt="a {} here", **size), save=False)
    assert blended.images[0].tobytes() == plain.tobytes()
    assert blended.encoding.embeds.shape == (77, 192)
    walk = studio.walk(WalkRequest(a="cat", b="dog", prompt="a {} here", frames=3, **size), save=False)
    end = studio.txt2img(ask(prompt="a dog here", width=64, height=64), save=False).images[0]
    assert [walk.images[0].tobytes(), walk.images[2].tobytes()] == [plain.tobytes(), end.tobytes()]


def test_a_prompts_numbers_table_and_nearest_words_are_there(studio):
    encoding = studio.encode(PROMPT)
    assert encoding.embeds.shape == (77, 192)
    assert [row.text for row in studio.token_table(PROMPT).rows[1:6]] == ["a", "drawing", "of", "a", "cat"]
    report = studio.look_up("cat", 1, count=1)
    assert (report.near[0].text, round(report.near[0].cosine, 4)) == ("cat", 1.0)


@pytest.mark.parametrize("family", ["sdxl"])
@pytest.mark.parametrize("in_channels", [4, 9])
def test_a_single_file_is_loaded_back_with_equal_tensors(tmp_path, family, in_channels):
    from sd_app.weights.single_file import load_file
    from tests.test_single_file import assert_equal_parts

    path = tmp_path / "one.safetensors"
    parts = write_checkpoint(path, family, in_channels=in_channels, dtype=torch.float16)
    components = load_file(path, torch.float32)
    assert_equal_parts(components, parts, torch.float32, family)
    assert components["vae"].config.scaling_factor == 0.13025
    assert components["vae"].config.force_upcast


def test_a_single_files_picture_is_its_folders_to_the_byte(tmp_path, sdxl_models):
    (tmp_path / "xl").symlink_to(sdxl_models / "xl")
    write_checkpoint(tmp_path / "one.safetensors", "sdxl", seed=7)  # as conftest makes xl
    studio = Studio(Settings(models_dir=tmp_path, model="xl", outputs_dir=tmp_path / "out"))
    info = find_model(studio.settings, "one")
    assert (info.family, info.native_size) == ("sdxl", 1024)
    fields = {"width": 64, "height": 64, "negative_prompt": "dog", "scheduler": "Euler"}
    one, folder = (studio.txt2img(ask(model=name, **fields), save=False).images[0] for name in ("one", "xl"))
    assert one.tobytes() == folder.tobytes()


def test_in_float16_the_vae_works_in_float32_and_is_itself_again_after_an_error(
    sdxl_models, tmp_path, monkeypatch
):
    studio = Studio(
        Settings(models_dir=sdxl_models, model="xl", outputs_dir=tmp_path, dtype="float16", device="cpu")
    )
    manager = studio._ready_manager()
    with manager.pipeline("xl", "Euler") as pipe:
        vae = pipe.vae
    seen: list[torch.dtype] = []
    decode = vae.decode

    def fail_once(latents, **options):
        seen.append(next(vae.parameters()).dtype)
        if len(seen) == 1:
            raise ValueError("no")
        return decode(latents, **options)

    monkeypatch.setattr(vae, "decode", fail_once)
    before = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    with pytest.raises(ValueError, match="no"):
        studio.txt2img(ask(width=64, height=64))
    assert vae.dtype == torch.float16
    studio.txt2img(ask(width=64, height=64), save=False)
    studio.img2img(ask(Img2ImgRequest, init_image=picture(), strength=0.7), save=False)
    assert seen == [torch.float32] * 4  # the last job also shows what its start decodes to
    assert all(torch.equal(tensor, before[name]) for name, tensor in vae.state_dict().items())


def test_a_folder_without_its_second_encoder_says_so(sdxl_models, tmp_path):
    import shutil

    folder = tmp_path / "xl"
    shutil.copytree(sdxl_models / "xl", folder)
    (folder / "text_encoder_2/model.safetensors").unlink()
    assert "its text_encoder_2 holds no .safetensors weights" in why_unusable(folder)


def test_of_a_repository_both_encoders_are_fetched():
    files = [
        f"{part}.fp16.safetensors"
        for part in (
            "unet/diffusion_pytorch_model",
            "vae/diffusion_pytorch_model",
            "text_encoder/model",
            "text_encoder_2/model",
        )
    ]
    assert choose_weights("owner/xl", files, PARTS) == files
    with pytest.raises(ValueError, match="no safetensors weights for its text_encoder_2"):
        choose_weights("owner/xl", [*files[:3], "text_encoder_2/model.bin"], PARTS)
