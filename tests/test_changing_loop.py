"""Prompts that change or are joined, beside a loop of a few lines that knows the texts: the same bytes."""

from inspect import signature
from itertools import groupby

import pytest
import torch
from PIL import Image
from torch import Tensor

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.generation.vae import decode_pixels, to_images
from sd_app.text import prompts
from sd_app.weights.pipeline import Pipeline
from sd_app.weights.scheduling import make_scheduler

LONG = ", ".join(["a big orange cat on the beach"] * 12)  # two windows
STEPS = 4
# A prompt, a sampler, and by hand: what each prompt of AND says at each of four steps, and its weight.
CASES = [
    ("a [cat:dog:0.5]", "Euler", [(["a cat"] * 2 + ["a dog"] * 2, 1.0)]),
    ("[cat|dog|]", "DPM++ 2M", [(["cat", "dog", "", "cat"], 1.0)]),
    ("[[a:b:1]:c:3] (x:1.3)", "Heun", [([f"{a} (x:1.3)" for a in "abbc"], 1.0)]),
    (f"[cat:{LONG}:3]", "DDIM", [(["cat"] * 3 + [LONG], 1.0)]),
    (
        "a cat AND [dog:bird:2]:0.6 AND red:-0.3",
        "DDIM",
        [(["a cat"] * 4, 1.0), (["dog"] * 2 + ["bird"] * 2, 0.6), (["red"] * 4, -0.3)],
    ),
    (f"a dog AND {LONG}:0.4 AND red", "DPM2", [(["a dog"] * 4, 1.0), ([LONG] * 4, 0.4), (["red"] * 4, 1.0)]),
    (f"{LONG} AND a dog:.5", "Euler a", [([LONG] * 4, 1.0), (["a dog"] * 4, 0.5)]),
]
MODELS = {"epsilon": "model-a", "v-prediction": "model-v", "sdxl": "xl"}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(("prompt", "scheduler", "parts"), CASES)
def test_a_loop_that_knows_the_texts_gives_the_same_bytes(
    random_models, sdxl_models, tmp_path, kind, prompt, scheduler, parts
):
    folder = sdxl_models if kind == "sdxl" else random_models
    studio = Studio(Settings(models_dir=folder, outputs_dir=tmp_path, model=MODELS[kind]))
    request = Txt2ImgRequest(
        prompt=prompt,
        negative_prompt="[blue:red:2]",
        scheduler=scheduler,
        num_inference_steps=STEPS,
        width=64,
        height=64,
        seed=9,
        guidance_scale=4.0,
    )
    picture = studio.txt2img(request, save=False).images[0]
    with studio._ready_manager().pipeline(MODELS[kind], scheduler) as pipe:
        assert picture.tobytes() == drawn(pipe, scheduler, parts, ["blue"] * 2 + ["red"] * 2).tobytes()


@torch.no_grad()
def drawn(
    pipe: Pipeline, name: str, parts: list[tuple[list[str], float]], negative: list[str]
) -> Image.Image:
    """Draw 64 x 64 pixels from seed 9 with guidance 4."""
    scheduler = make_scheduler(name, pipe.scheduler.config)
    scheduler.set_timesteps(STEPS, device=torch.device("cpu"))
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    generator = torch.Generator("cpu").manual_seed(9)
    side = 64 // pipe.vae_scale_factor
    latents = torch.randn(1, 4, side, side, generator=generator) * scheduler.init_noise_sigma
    noise = {"generator": generator} if "generator" in signature(type(scheduler).step).parameters else {}
    for index, t in enumerate(scheduler.timesteps):
        step = index // scheduler.order
        model_input = scheduler.scale_model_input(latents, t)
        texts = [texts[step] for texts, _ in parts]
        pairs = [prompts.encode_pair(pipe, text, negative[step]) for text in texts]
        rows = [(positive, text) for (positive, _), text in zip(pairs, texts, strict=True)]
        unconditional, first = predict(pipe, model_input, t, [(pairs[0][1], negative[step]), rows[0]])
        answers = [first]
        for _, group in groupby(rows[1:], key=lambda row: row[0].shape):
            alike = list(group)
            for at in range(0, len(alike), 2):
                answers += predict(pipe, model_input, t, alike[at : at + 2])
        conditional = first
        if len(parts) > 1:
            conditional = unconditional
            for answer, (_, weight) in zip(answers, parts, strict=True):
                conditional = conditional + weight * (answer - unconditional)
        guided = unconditional + 4.0 * (conditional - unconditional)
        latents = scheduler.step(guided, t, latents, return_dict=False, **noise)[0]
    return to_images(pipe, decode_pixels(pipe, latents))[0]


def predict(pipe: Pipeline, model_input: Tensor, t: Tensor, rows: list[tuple[Tensor, str]]) -> list[Tensor]:
    """Run diffusers' U-Net on one or two rows; return the answer to each."""
    embeds = torch.cat([row for row, _ in rows])
    more = {}
    if pipe.is_xl:
        pooled = [prompts.pool_chunks(pipe, prompts.chunk(pipe.tokenizer, text)) for _, text in rows]
        sizes = torch.tensor([[64.0, 64, 0, 0, 64, 64]]).repeat(len(rows), 1)
        more = {"added_cond_kwargs": {"text_embeds": torch.cat(pooled), "time_ids": sizes}}
    samples = torch.cat([model_input] * len(rows))
    answers = pipe.unet(samples, t, encoder_hidden_states=embeds, return_dict=False, **more)[0]
    return list(answers.chunk(len(rows)))
