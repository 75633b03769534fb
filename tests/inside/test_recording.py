"""A recording changes nothing, leaves nothing behind, and holds the numbers that passed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sd_app import Cancelled, Img2ImgRequest, InpaintRequest, Settings, Studio, Txt2ImgRequest
from sd_app.generation.starts import make_generator
from sd_app.probes.attention import attention_weights
from sd_app.probes.observers import StepTaken
from sd_app.probes.recorder import Recorder, Watch, sha256_of
from sd_app.probes.recording import Recording, of_words
from sd_app.schedulers import SCHEDULER_NAMES
from sd_app.weights.scheduling import make_scheduler, set_steps
from tests.addons.lora_writers import kohya, lora_layers, write_lora
from tests.addons.test_learned_words import put
from tests.conftest import make_checkpoint
from tests.test_denoise import MASK, PICTURE
from tests.test_denoise import Recorder as Everything
from tests.test_observers import KINDS, RUN, make, open_studio, state_of

ALONE = Txt2ImgRequest(prompt="a red cat, on the beach", negative_prompt="blue", **RUN)


def record(studio: Studio, request: Txt2ImgRequest, **options: Any) -> Recording:
    return studio.record(request, keep=False, **options)


def recorded_in_a_job(studio: Studio, request: Txt2ImgRequest, kind: str, watch: Watch) -> list[Recording]:
    recorder = Recorder(watch)
    make(studio, kind, request, recorder)
    return [recorder.recordings[number] for number in sorted(recorder.recordings)]


# -- the same bytes, and nothing left behind


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_job_draws_the_same_bytes_with_everything_recorded(random_models, tmp_path, kind):
    studio = open_studio(random_models, "model-a", tmp_path)
    expected = getattr(studio, kind)(KINDS[kind], save=False)
    before = state_of(studio)
    recorded = recorded_in_a_job(studio, KINDS[kind], kind, Watch())
    assert state_of(studio) == before
    assert len(recorded) == len(expected.images)
    made = {sha256_of(image) for image in expected.images}
    assert {one.picture_sha256 for one in recorded} == made
    for one in recorded:
        assert one.attention
        assert one.features
        assert one.num_calls == len(one.conditional) == len(one.latents) - 1


@pytest.mark.parametrize(
    ("folder", "model", "kind"),
    [
        ("random_models", "model-v", "txt2img"),
        ("sdxl_models", "xl", "txt2img"),
        ("sdxl_models", "xl", "inpaint"),
        ("inpaint_models", "painter", "inpaint"),
        ("sdxl_models", "xl-painter", "inpaint"),
    ],
)
def test_and_so_does_every_family(request, tmp_path, folder, model, kind):
    studio = open_studio(request.getfixturevalue(folder), model, tmp_path)
    expected = getattr(studio, kind)(KINDS[kind], save=False)
    recorded = recorded_in_a_job(studio, KINDS[kind], kind, Watch())
    assert [one.picture_sha256 for one in recorded] == list(map(sha256_of, expected.images))
    assert all(one.facts.reads_masks == model.endswith("painter") for one in recorded)


@pytest.fixture(scope="module")
def with_addons(random_models, tmp_path_factory) -> Studio:
    """A studio over model-a with a LoRA "a" and a learned word of three vectors."""
    folder: Path = tmp_path_factory.mktemp("with-addons")
    (folder / "model-a").symlink_to(random_models / "model-a")
    studio = open_studio(folder, "model-a", tmp_path_factory.mktemp("out"))
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        write_lora(folder / "loras" / "a.safetensors", kohya(lora_layers(pipe.components, 0)))
    put(folder, "noise", {"emb_params": torch.randn(3, 32)})
    return studio


@pytest.mark.parametrize(
    "prompt",
    [
        "a cat <lora:a:1>",
        "a noise, on the beach",
        "a cat BREAK on (the beach:1.3)",
        "[a cat:a dog:0.5]",
        "a cat AND a dog on the beach :0.5",
        "a {row: cat + 0.5*dog}",
        "",
    ],
)
def test_and_so_does_every_prompt(with_addons, prompt):
    request = replace(ALONE, prompt=prompt, num_images=2)
    expected = with_addons.txt2img(request, save=False)
    before = state_of(with_addons)
    recorded = recorded_in_a_job(with_addons, request, "txt2img", Watch())
    assert state_of(with_addons) == before
    assert [one.picture_sha256 for one in recorded] == list(map(sha256_of, expected.images))
    for one in recorded:
        assert one.attention
        for number in range(len(one.texts)):
            maps = one.attention.mean(one.attention.finest_up, text=number)
            assert torch.allclose(maps.sum(dim=0), torch.ones(maps.shape[1:]), atol=2e-3)


@pytest.mark.parametrize("failure", [Cancelled, KeyError])
@pytest.mark.parametrize("at", range(4))
def test_a_stop_or_an_error_at_any_step_leaves_nothing_behind(random_studio, failure, at):
    before = state_of(random_studio)

    def stop(step: StepTaken) -> None:
        if step.step == at:
            raise failure

    class Stopping:
        on_step = staticmethod(stop)

    recorder = Recorder(Watch())
    if failure is Cancelled:
        assert random_studio.txt2img(ALONE, save=False, observers=[recorder, Stopping()]).stopped
    else:
        with pytest.raises(KeyError):
            make(random_studio, "txt2img", ALONE, recorder, Stopping())
    assert recorder.recordings == {}
    assert state_of(random_studio) == before


def test_a_stopped_recording_is_none(random_studio):
    def stop(step: Any) -> None:
        if step.step == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        record(random_studio, ALONE, on_step=stop)


# -- the numbers


@pytest.mark.parametrize("scheduler", SCHEDULER_NAMES)
def test_the_recorded_outputs_stepped_again_give_the_last_latents_bit_for_bit(random_studio, scheduler):
    """Also where a sampler adds noise: that of the seed, behind the first."""
    request = replace(ALONE, scheduler=scheduler)
    recording = record(random_studio, request, attention=False, features=False)
    resolved = recording.request
    again = make_scheduler(resolved.sampling, recording.facts.scheduler_config)
    set_steps(again, resolved.num_inference_steps or 0, torch.device("cpu"))
    if recording.facts.begin_index is not None:
        again.set_begin_index(recording.facts.begin_index)
    generator = make_generator(resolved.seed or 0)
    noise = torch.randn(1, *recording.noise.shape, generator=generator)
    assert torch.equal(noise[0], recording.noise)
    latents = recording.latents[:1]
    takes_noise = "generator" in type(again).step.__code__.co_varnames
    more = {"generator": [generator]} if takes_noise else {}
    for call, timestep in enumerate(again.timesteps):
        assert float(timestep) == float(recording.timesteps[call])
        assert torch.equal(latents[0], recording.latents[call])
        guided = recording.guided(call)[None]
        latents = again.step(guided, timestep, latents, return_dict=False, **more)[0]
    assert torch.equal(latents[0], recording.final)


@pytest.mark.parametrize("model", ["model-a", "model-v"])
@pytest.mark.parametrize("scheduler", ["DDIM", "Euler", "Heun", "DPM++ 2M Karras"])
@pytest.mark.parametrize("kind", ["txt2img", "img2img", "inpaint"])
def test_guidance_and_x0_worked_out_are_what_passed(random_models, tmp_path, model, scheduler, kind):
    studio = open_studio(random_models, model, tmp_path)
    request = replace(KINDS[kind], num_images=1, scheduler=scheduler)
    recorder, passed = Recorder(), Everything()
    make(studio, kind, request, recorder, passed)
    recording = recorder.recordings[0]
    for call, step in enumerate(passed.steps):
        assert torch.equal(recording.guided(call), step.noise_pred[0])
        assert torch.equal(recording.latents[call], step.latents[0])
        x0 = recording.x0(call, "guided")
        assert x0 is not None
        assert torch.allclose(x0, step.predicted_x0[0], atol=1e-6)
    assert torch.equal(recording.final, passed.decoded[0][0][0])
    assert recording.decoded.tobytes() == passed.decoded[0][1][0].tobytes()


@pytest.mark.parametrize("scheduler", ["DDIM", "Euler", "DPM++ 2M"])
@pytest.mark.parametrize("model", ["model-a", "model-v"])
def test_x_t_is_made_of_x0_and_eps_whatever_the_model_predicts(random_models, tmp_path, model, scheduler):
    recording = record(
        open_studio(random_models, model, tmp_path), replace(ALONE, scheduler=scheduler), features=False
    )
    for call in range(recording.num_calls):
        sigma = float(recording.sigmas[call])
        norm = (1 + sigma**2) ** 0.5
        for which in ("conditional", "unconditional", "guided"):
            x0, eps = recording.x0(call, which), recording.eps(call, which)
            assert x0 is not None
            assert eps is not None
            x_t = (x0 + sigma * eps) / norm
            scale = float(x0.abs().max()) / norm
            assert torch.allclose(x_t, recording.unscaled(call), atol=1e-4 * max(1.0, scale))
        assert call > 0 or 0.8 < float(recording.unscaled(call).std()) < 1.2  # pure noise


def test_what_a_picture_began_from_is_there(random_models, inpaint_models, tmp_path):
    studio = open_studio(random_models, "model-a", tmp_path)
    plain = record(studio, ALONE, attention=False, features=False)
    assert plain.original is None
    assert plain.mask is None
    request = Img2ImgRequest(prompt="a", init_image=PICTURE, **RUN)
    from_picture = record(studio, request, attention=False, features=False)
    assert from_picture.original is not None
    assert from_picture.mask is None
    painting = InpaintRequest(prompt="a", init_image=PICTURE, mask_image=MASK, scheduler="DDIM", **RUN)
    inpainted = record(studio, painting, attention=False, features=False)
    assert inpainted.mask is not None
    assert inpainted.original is not None
    kept = inpainted.mask == 0
    assert 0 < kept.sum() < kept.numel()
    assert torch.equal(inpainted.final[:, kept], inpainted.original[:, kept])


# -- attention


@pytest.fixture
def layers(random_studio) -> Iterator[list[tuple[Any, tuple[torch.Tensor, torch.Tensor]]]]:
    """Every cross attention of model-a with a picture of 6 x 5 cells and a text of 77 rows."""
    with random_studio._ready_manager().pipeline("model-a", "DDIM") as pipe, torch.no_grad():
        found = []
        for part in pipe.unet.modules():
            if getattr(part, "is_cross_attention", False):
                cells = torch.randn(2, 30, part.to_q.in_features)
                found.append((part, (cells, torch.randn(2, 77, part.to_k.in_features))))
        yield found


def test_the_weights_sum_to_1_and_make_the_layers_own_output(layers):
    assert layers
    for layer, (cells, text) in layers:
        weights = attention_weights(layer, cells, text, layer.to_k(text))
        assert weights.shape == (2, layer.heads, 30, 77)
        assert torch.allclose(weights.sum(dim=-1), torch.ones(2, layer.heads, 30), atol=1e-5)
        value = layer.to_v(text).unflatten(2, (layer.heads, -1)).transpose(1, 2)
        mixed = (weights @ value).transpose(1, 2).flatten(2)
        assert torch.allclose(layer.to_out[0](mixed), layer(cells, text), atol=1e-5)


def test_swapped_rows_swap_their_maps(layers):
    for layer, (cells, text) in layers:
        swapped = text.clone()
        swapped[:, [3, 9]] = text[:, [9, 3]]
        weights, others = (attention_weights(layer, cells, one, layer.to_k(one)) for one in (text, swapped))
        assert torch.allclose(weights[..., 3], others[..., 9], atol=1e-6)
        assert torch.allclose(weights[..., 9], others[..., 3], atol=1e-6)
        assert not torch.allclose(weights[..., 3], others[..., 3], atol=1e-4)


def test_the_maps_have_the_pictures_shape(random_studio):
    recording = record(random_studio, replace(ALONE, width=640, height=384, num_inference_steps=1))
    assert recording.attention
    sides = {module: recording.attention.side(module) for module in recording.attention.modules}
    assert sides == dict.fromkeys(sides, (24, 40))  # of two levels attention is at the lower one
    assert recording.features
    assert recording.features.components["conv_in"].shape[-2:] == (48, 80)


def test_every_word_has_its_rows_and_marks_and_padding_are_words_of_their_own(with_addons):
    recording = record(with_addons, replace(ALONE, prompt="a (bozuman:1.3), noise BREAK beach"))
    assert recording.attention
    (text,) = recording.texts
    said = [(word.text or word.kind, len(word.rows)) for word in text.words]
    assert said == [
        *[("start", 1), ("a", 1), ("bozuman", 3), (",", 1), ("noise", 3), ("end", 1), ("padding", 1)],
        *[("start", 1), ("beach", 1), ("end", 1), ("padding", 1)],
    ]
    assert sum(row.count for row in text.rows) == 2 * 77
    assert text.words[2].weight == 1.3
    maps = of_words(recording.attention.at(recording.attention.finest_up, 3), text.words)
    assert torch.allclose(maps.sum(dim=0), torch.ones(maps.shape[1:]), atol=2e-3)


def test_a_prompt_that_changes_shows_each_text_at_the_steps_that_read_it(random_studio):
    recording = record(random_studio, replace(ALONE, prompt="a [cat:big dog:0.5]"))
    assert recording.attention
    assert [(one.text, one.calls) for one in recording.texts] == [("a cat", (0, 1)), ("a big dog", (2, 3))]
    module = recording.attention.finest_up
    assert len(recording.attention.at(module, 1, text=0)) == 5
    assert len(recording.attention.at(module, 2, text=1)) == 6
    with pytest.raises(ValueError, match="this text was not read at call 2"):
        recording.attention.at(module, 2, text=0)


def test_prompts_joined_by_and_show_each_ones_own_maps(random_studio):
    """The maps of "a cat AND a dog" are, at the first step, those of each alone."""
    request = replace(ALONE, num_inference_steps=1)
    joined = record(random_studio, replace(request, prompt="a cat AND a big dog :0.5 AND a dog"))
    assert joined.attention
    assert [one.weight for one in joined.texts] == [1.0, 0.5, 1.0]
    for number, prompt in enumerate(["a cat", "a big dog", "a dog"]):
        alone = record(random_studio, replace(request, prompt=prompt)).attention
        assert alone
        for module in alone.modules:
            own, shared = alone.at(module, 0), joined.attention.at(module, 0, text=number)
            assert torch.allclose(own, shared, atol=2e-3)


def test_the_mean_of_the_heads_over_thirds_is_the_mean_of_the_steps(random_studio):
    recording = record(random_studio, replace(ALONE, num_inference_steps=6))
    assert recording.attention
    for module in recording.attention.modules:
        for third in range(3):
            heads = recording.attention.heads(module, third).mean(dim=0)
            steps = recording.attention.mean(module, [2 * third, 2 * third + 1])
            assert torch.allclose(heads, steps, atol=1e-3)


def test_long_prompts_are_kept_as_bytes_with_a_scale(random_studio):
    long, short = (
        record(random_studio, replace(ALONE, prompt="a cat " * count, num_inference_steps=1))
        for count in (30, 5)
    )
    assert long.attention
    assert short.attention
    module = long.attention.finest_up
    assert long.attention.means[0, module].values.dtype == torch.uint8
    assert short.attention.means[0, module].values.dtype == torch.float16
    maps = long.attention.at(module, 0)
    assert torch.allclose(maps.sum(dim=0), torch.ones(maps.shape[1:]), atol=0.05)


# -- features


def test_components_are_those_of_the_features_and_keep_their_meaning(random_studio):
    """The kept components hold the share of the variance that they say, and turn little between steps."""
    outputs: list[torch.Tensor] = []

    class Listening:
        needs_every_part = True

        @contextmanager
        def listening(self, unet: Any) -> Iterator[None]:
            hook = unet.up_blocks[0].register_forward_hook(lambda _, __, out: outputs.append(out[-1]))
            yield
            hook.remove()

    recorder = Recorder(Watch(attention=False))
    make(random_studio, "txt2img", replace(ALONE, num_inference_steps=8), recorder, Listening())
    features = recorder.recordings[0].features
    assert features
    components, shares = features.components["up_blocks.0"].float(), features.shares["up_blocks.0"]
    for call, output in enumerate(outputs):
        centred = output.flatten(1) - output.flatten(1).mean(dim=1, keepdim=True)
        whole = torch.linalg.svdvals(centred).square()
        best = whole[: components.shape[1]].sum() / whole.sum()
        assert shares[call].sum() == pytest.approx(float(best), abs=0.02)
        # They are sums of the conditional half's own channels, and of no other half's.
        own = torch.linalg.lstsq(centred.T, components[call].flatten(1).T).solution.T @ centred
        away = (own - components[call].flatten(1)).norm() / components[call].norm()
        assert float(away) < 1e-2
        kept = components[call].flatten(1).square().sum(dim=1) / whole.sum()
        assert torch.allclose(kept, shares[call], atol=1e-2)
    last = shares[-1]
    assert torch.equal(last, last.sort(descending=True).values)


# -- what is missing is said


@pytest.fixture
def distilled(tmp_path) -> Studio:
    make_checkpoint(tmp_path / "models" / "lcm", seed=4, time_cond_proj_dim=16)
    return Studio(Settings(models_dir=tmp_path / "models", model="lcm", outputs_dir=tmp_path, device="cpu"))


def test_what_was_not_run_is_said_and_not_made_up(random_studio, distilled):
    full = record(random_studio, ALONE)
    assert full.notes == ()
    assert full.guided_calls == (0, 1, 2, 3)
    ended = record(random_studio, replace(ALONE, guidance_end=0.5))
    assert ended.notes == ("Guidance had ended: the half without the prompt did not count at steps 3 to 4.",)
    assert ended.x0(1, "unconditional") is not None
    assert ended.x0(2, "unconditional") is None
    assert torch.equal(ended.guided(2), ended.conditional[2])
    off = record(random_studio, replace(ALONE, guidance_scale=1.0))
    assert off.guided_calls == ()
    assert off.notes == ("The half without the prompt was not run: at guidance 1 it does not count.",)
    inside = record(distilled, ALONE)
    assert inside.notes == ("Guidance is inside this model: it has no half without the prompt.",)
    assert inside.attention


def test_steps_whose_deep_blocks_stood_in_are_said_in_the_film(random_studio):
    request = replace(ALONE, cache_interval=2)
    result = random_studio.txt2img(request, save=False)
    film = random_studio.film_of(result.request_of(0))
    assert film
    assert film.shallow_calls == (1, 3)
    assert film.notes == (
        "The deep blocks were not run at steps 2 and 4: those of an earlier step stood in.",
    )
    with pytest.raises(ValueError, match="cache_interval must be 1 to look inside the U-Net"):
        record(random_studio, request)
