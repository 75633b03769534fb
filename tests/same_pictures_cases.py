"""What same_pictures.py draws: a named request for each way through the code that makes pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sd_app import Settings, Studio, Txt2ImgRequest
from tests.same_pictures_requests import (
    blend,
    img2img,
    inpaint,
    mask,
    picture,
    plane,
    soft_mask,
    txt2img,
    walk,
)

# What each studio has beside the fixed folders; "embedded" has the project's own models.
SETTINGS: dict[str, dict[str, Any]] = {
    "embedded": {},
    "random": {"batch_size": 2},
    "tiles": {"tile_above": 0},
    "frugal": {"lowvram": True},
    "bfloat16": {"dtype": "bfloat16", "batch_size": 2},
    "channels last": {"channels_last": True},
}
MASKED_CONTENTS = ("original", "fill", "noise")
IMG2IMG_SCHEDULERS = ("DDIM", "Euler a", "Heun", "DPM++ 2M SDE Karras", "UniPC", "PLMS", "LCM")
INPAINT_SCHEDULERS = ("Euler a", "Heun", "DPM++ 2M Karras", "UniPC", "PLMS", "LCM")
LONG = ", ".join(
    f"a {colour} {thing}" for colour in ("red", "blue", "green") for thing in ("cat", "old house", "star")
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request and how it is drawn: in which studio, watched or not, saved or not."""

    name: str
    request: Txt2ImgRequest
    studio: str = "random"
    save: bool = False
    preview_every: int = 0
    stop_after: int | None = None  # pictures, then it is cancelled


def make_studios(folder: Path) -> dict[str, Studio]:
    """Make the studios of SETTINGS over folder/models; each has an outputs folder of its own."""
    studios = {}
    for name, settings in SETTINGS.items():
        known: dict[str, Any] = {"device": "cpu", "dtype": "float32", "cache_dir": folder / "cache"}
        known["outputs_dir"] = folder / "outputs" / name.replace(" ", "-")
        if name != "embedded":
            known |= {"models_dir": folder / "models", "model": "plain"}
        studios[name] = Studio(Settings(**known | settings))
    return studios


def make_cases(schedulers: tuple[str, ...]) -> Iterator[Case]:
    """Yield all cases; `schedulers` are all there are."""
    yield from embedded_cases(schedulers)
    yield from txt2img_cases(schedulers)
    yield from prompt_cases()
    yield from addon_cases()
    yield from img2img_cases()
    yield from inpaint_cases()
    yield from inpaint_model_cases()
    yield from faster_cases()
    yield from arithmetic_cases()
    yield from sdxl_cases()
    yield from settings_cases()
    yield from watched_cases()


def embedded_cases(schedulers: tuple[str, ...]) -> Iterator[Case]:
    tiny: dict[str, Any] = {"width": 128, "height": 128, "num_inference_steps": 6}
    start = picture(128, 128)
    for scheduler in schedulers:
        yield Case(
            name=f"embedded, {scheduler}", request=txt2img(**tiny, scheduler=scheduler), studio="embedded"
        )
    requests = {
        "3 pictures": txt2img(**tiny, num_images=3),
        "its own defaults": Txt2ImgRequest(prompt="a big yellow star", seed=3, num_inference_steps=3),
        "guidance 15": txt2img(**tiny, guidance_scale=15.0),
        "clip_skip 2": txt2img(**tiny, clip_skip=2),
        "ends early, reuses": txt2img(**tiny, guidance_end=0.5, cache_interval=2),
        "img2img": img2img(**tiny, init_image=start, scheduler="DPM++ 2M Karras"),
        "inpaint": inpaint(**tiny, init_image=start, mask_image=mask(128, 128), feather=6),
        "words in braces": txt2img(**tiny, prompt="a big {cat + 0.43*star} in a meadow"),
        "walk": walk(**tiny, frames=3),
    }
    for name, request in requests.items():
        yield Case(name=f"embedded, {name}", request=request, studio="embedded")


def txt2img_cases(schedulers: tuple[str, ...]) -> Iterator[Case]:
    for scheduler in schedulers:
        for model in ("plain", "velocity"):
            yield Case(name=f"{model}, {scheduler}", request=txt2img(model=model, scheduler=scheduler))
    for scale in (0.0, 0.5, 1.0, 5.0, 15.0):
        yield Case(name=f"guidance {scale:g}", request=txt2img(guidance_scale=scale, scheduler="Euler"))
    for steps in (1, 7):
        yield Case(name=f"{steps} steps", request=txt2img(num_inference_steps=steps, scheduler="DPM++ 2M"))
    yield Case(name="3 pictures, 2 together", request=txt2img(num_images=3, scheduler="Euler a"))
    yield Case(name="no negative prompt", request=txt2img(negative_prompt=""))
    yield Case(name="wide", request=txt2img(width=136, height=72))
    yield Case(name="seed at the end", request=txt2img(seed=2**32 - 1))
    for scale in (1.0, 2.0, 8.0):
        request = txt2img(model="distilled", scheduler="LCM", guidance_scale=scale)
        yield Case(name=f"distilled, guidance {scale:g}", request=request)
    yield Case(name="distilled, img2img", request=img2img(model="distilled", scheduler="LCM", num_images=2))
    for family in ("sd1", "sd2", "sdxl"):
        yield Case(name=f"file of {family}", request=txt2img(model=f"file-{family}", num_images=2))
    yield Case(name="file that inpaints", request=inpaint(model="file-painter"))


def prompt_cases() -> Iterator[Case]:
    prompts = {
        "weights": "a (red:1.3) ((cat)) on [the beach], \\(plain\\) (blue:0.4) sky",
        "negative weight": "a cat, (house:-0.5)",
        "BREAK": "a red cat BREAK a blue house BREAK",
        "3 windows": f"{LONG}, {LONG}, {LONG}, {LONG}, {LONG}",
        "3 windows with weights": f"({LONG}:1.2), {LONG}, [{LONG}], {LONG}, {LONG}",
        "comma 20 tokens before a window's end": f"{'cat ' * 55}, {'dog ' * 30}",
        "comma 21 tokens before a window's end": f"{'cat ' * 54}, {'dog ' * 30}",
        "braces": "a drawing of {cat + 0.43*star - 0.2*house}, red",
        "braces, all": "a drawing of {all: lerp(cat, house, 0.3)}, red",
        "braces, row": "a drawing of {row: slerp(cat, house, 0.3)}, red",
        "braces, input": "a drawing of {input: mean(cat, dog, star)}, red",
        "braces, two slots": 'a {big - small} {"red cat" / 2 + dog} here',
        "braces, two slots, row": "a {row: big - small} {row: cat + dog} here",
        "braces, weights": f"(a {{input: cat + 0.5*dog}}:1.3), {LONG}, {LONG}, {LONG}",
        "other letters": "un été à la mer, 猫, naïve café 🐈 zażółć",
    }
    for name, prompt in prompts.items():
        yield Case(name=f"prompt: {name}", request=txt2img(prompt=prompt))
    for clip_skip in (2, 3):
        yield Case(name=f"clip_skip {clip_skip}", request=txt2img(clip_skip=clip_skip))
    yield Case(
        name="clip_skip 2, weights, braces", request=txt2img(prompt="a (red:1.4) {cat + dog}", clip_skip=2)
    )
    negatives = {"3 windows": f"{LONG}, {LONG}, {LONG}", "braces": "(ugly:1.2) {row: cat + 0.5*dog}"}
    for name, prompt in negatives.items():
        yield Case(name=f"negative prompt: {name}", request=txt2img(negative_prompt=prompt))


def addon_cases() -> Iterator[Case]:
    prompts = {
        "LoRA of kohya's trainer": "a cat <lora:ink:0.7>",
        "LoRA of peft": "a cat <lora:wash:0.7>",
        "LoRA of old diffusers": "a cat <lora:chalk:1>",
        "LoRA turned around": "a cat <lora:ink:-0.5>",
        "LoRA, U-Net alone": "a cat <lora:ink:te=0:unet=0.6>",
        "LoRA, text encoder alone": "a cat <lora:ink:0.6:0>",
        "two LoRAs": "a <lora:wash:0.4> cat <lora:ink:0.3>",
        "no LoRA after LoRAs": "a cat",
        "learned word": "a drawing of <zorblat>, (zorblat:1.2)",
        "learned word in braces": "a drawing of {input: <zorblat> + 0.5*cat}",
        "learned word and LoRA": "a drawing of zorblat <lora:wash:0.5>",
    }
    for name, prompt in prompts.items():
        yield Case(name=f"addons: {name}", request=txt2img(prompt=prompt))
    yield Case(name="addons: LoRA, img2img", request=img2img(prompt="a cat <lora:ink:0.7>"))
    for vae in ("other", "third"):
        yield Case(name=f"addons: VAE {vae}", request=txt2img(vae=vae))
        yield Case(name=f"addons: VAE {vae}, inpaint", request=inpaint(vae=vae, masked_content="fill"))


def img2img_cases() -> Iterator[Case]:
    for scheduler in IMG2IMG_SCHEDULERS:
        for strength in (0.3, 0.75, 1.0):
            request = img2img(scheduler=scheduler, strength=strength, num_inference_steps=7)
            yield Case(name=f"img2img, {scheduler}, strength {strength}", request=request)
    for mode in ("crop", "pad", "stretch"):
        request = img2img(init_image=picture(100, 76), resize_mode=mode, width=64, height=80)
        yield Case(name=f"img2img, {mode}", request=request)
    odd = img2img(init_image=picture(91, 77), width=None, height=None)
    yield Case(name="img2img, its own size", request=odd)
    yield Case(name="img2img, 3 pictures", request=img2img(num_images=3, scheduler="Euler a"))
    yield Case(name="img2img, velocity", request=img2img(model="velocity", scheduler="DPM++ 2M"))
    yield Case(name="img2img, guidance 1", request=img2img(guidance_scale=1.0))


def inpaint_cases() -> Iterator[Case]:
    for scheduler in INPAINT_SCHEDULERS:
        yield Case(name=f"inpaint, {scheduler}", request=inpaint(scheduler=scheduler, num_inference_steps=5))
    for content in MASKED_CONTENTS:
        for strength in (0.5, 1.0):
            request = inpaint(masked_content=content, strength=strength, num_images=2)
            yield Case(name=f"inpaint, {content}, strength {strength}", request=request)
        soft = inpaint(masked_content=content, mask_image=soft_mask(), soft_mask=True)
        yield Case(name=f"inpaint, soft mask, {content}", request=soft)
    large = {"init_image": picture(200, 150), "mask_image": mask(200, 150)}
    requests = {
        "soft mask, Heun": inpaint(mask_image=soft_mask(), soft_mask=True, scheduler="Heun"),
        "grey mask, hard": inpaint(mask_image=soft_mask()),
        "inverted": inpaint(invert_mask=True),
        "only masked": inpaint(**large, only_masked=True),
        "only masked, padding 0, stretch": inpaint(
            **large, only_masked=True, padding=0, resize_mode="stretch"
        ),
        "only masked, feather, colours": inpaint(**large, only_masked=True, feather=9, color_match=True),
        "its own size": inpaint(**large, width=None, height=None),
        "outpaint": inpaint(mask_image=None, outpaint=(16, 0, 8, 24), width=None, height=None),
        "outpaint, mask, fill": inpaint(
            outpaint=(0, 11, 0, 5), masked_content="fill", width=None, height=None
        ),
        "outpaint, noise": inpaint(mask_image=None, outpaint=(0, 0, 32, 0), masked_content="noise"),
        "feather": inpaint(feather=7),
        "colour match": inpaint(color_match=True),
        "poisson": inpaint(blend="poisson"),
        "pyramid": inpaint(blend="pyramid"),
        "all joins": inpaint(
            feather=5, color_match=True, blend="poisson", mask_image=soft_mask(), soft_mask=True
        ),
        "empty mask": inpaint(mask_image=Image.new("L", (64, 64))),
        "3 pictures": inpaint(num_images=3, masked_content="noise", scheduler="Euler a"),
        "velocity": inpaint(model="velocity", scheduler="Euler"),
    }
    for name, request in requests.items():
        yield Case(name=f"inpaint, {name}", request=request)


def inpaint_model_cases() -> Iterator[Case]:
    for scheduler in ("DDIM", "Euler a", "Heun", "PLMS"):
        yield Case(name=f"painter, {scheduler}", request=inpaint(model="painter", scheduler=scheduler))
    for content in MASKED_CONTENTS:
        for strength in (0.5, 1.0):
            request = inpaint(model="painter", masked_content=content, strength=strength, num_images=2)
            yield Case(name=f"painter, {content}, strength {strength}", request=request)
    requests = {
        "outpaint": inpaint(
            model="painter", outpaint=(8, 0, 16, 0), mask_image=None, width=None, height=None
        ),
        "only masked": inpaint(
            model="painter", init_image=picture(200, 150), mask_image=mask(200, 150), only_masked=True
        ),
        "ends early, reuses": inpaint(model="painter", guidance_end=0.5, cache_interval=2),
    }
    for name, request in requests.items():
        yield Case(name=f"painter, {name}", request=request)


def faster_cases() -> Iterator[Case]:
    ways: tuple[dict[str, Any], ...] = (
        {"guidance_end": 0.5},
        {"guidance_end": 0.0},
        {"cache_interval": 2},
        {"cache_interval": 3},
        {"guidance_end": 0.5, "cache_interval": 2},
        {"guidance_end": 0.5, "cache_interval": 3},
    )
    for way in ways:
        words = ", ".join(f"{name} {value}" for name, value in way.items())
        for scheduler in ("DDIM", "Heun"):
            request = txt2img(**way, scheduler=scheduler, num_inference_steps=6)
            yield Case(name=f"faster: {words}, {scheduler}", request=request)
    both = ways[-2]
    yield Case(name="faster: 3 pictures", request=txt2img(**both, num_images=3, scheduler="Euler a"))
    yield Case(name="faster: img2img", request=img2img(**both, num_inference_steps=8, scheduler="DPM++ 2M"))
    yield Case(name="faster: inpaint", request=inpaint(**both, num_inference_steps=8))
    yield Case(name="faster: walk", request=walk(**both))


def arithmetic_cases() -> Iterator[Case]:
    for space in ("all", "row", "input"):
        blended = blend(expression="cat + 0.43*star", space=space)
        yield Case(name=f"blend, {space}", request=blended)
        yield Case(name=f"walk, {space}", request=walk(space=space, method="slerp"))
    requests: dict[str, Txt2ImgRequest] = {
        "blend, a LoRA": blend(prompt="{} <lora:ink:0.5>", expression="cat - dog"),
        "walk at places": walk(ts=(0.0, 0.2, 0.2, 0.9)),
        "walk, Heun": walk(scheduler="Heun", frames=3),
        "walk, velocity": walk(model="velocity", scheduler="Euler"),
        "walk, guidance 1, clip_skip 2": walk(guidance_scale=1.0, clip_skip=2),
        "walk that bisects": walk(bisect=True, frames=3),
        "walk that bisects, 6 frames": walk(bisect=True, frames=6, method="slerp", space="input"),
        "plane": plane(),
        "plane, row, slerp": plane(space="row", method="slerp", high=2.0),
    }
    for name, request in requests.items():
        yield Case(name=name, request=request)


def sdxl_cases() -> Iterator[Case]:
    xl: dict[str, Any] = {"model": "xl", "scheduler": "Euler", "num_inference_steps": 3}
    painter = {**xl, "model": "xl-painter"}
    requests: dict[str, Txt2ImgRequest] = {
        "its own defaults": txt2img(
            model="xl", scheduler=None, num_inference_steps=None, guidance_scale=None
        ),
        "2 pictures": txt2img(**xl, num_images=2),
        "no negative prompt": txt2img(**xl, negative_prompt=""),
        "guidance 1": txt2img(**xl, guidance_scale=1.0),
        "wide": txt2img(**xl, width=128, height=64),
        "clip_skip 2": txt2img(**xl, clip_skip=2),
        "clip_skip 3": txt2img(**xl, clip_skip=3),
        "weights, 2 windows": txt2img(**xl, prompt=f"(a cat:1.3), {LONG}, {LONG}, {LONG}"),
        "braces, all": txt2img(**xl, prompt="a {cat + 0.4*dog} here"),
        "LoRA": txt2img(**xl, prompt="a cat <lora:xl-ink:0.6>"),
        "learned word": txt2img(**xl, prompt="a drawing of quuxel"),
        "faster": txt2img(**xl, guidance_end=0.5, cache_interval=2, num_images=2),
        "img2img": img2img(**xl, num_images=2),
        "img2img, no negative prompt": img2img(**xl, negative_prompt="", strength=1.0),
        "inpaint": inpaint(**xl, feather=4),
        "inpaint, noise, 2 pictures": inpaint(**xl, masked_content="noise", num_images=2),
        "painter": inpaint(**painter),
        "painter, fill, 2 pictures": inpaint(**painter, masked_content="fill", num_images=2),
        "walk": walk(**xl, frames=3),
    }
    for scheduler in ("DDIM", "DPM++ 2M SDE Karras", "Heun", "LCM"):
        requests[scheduler] = txt2img(**xl | {"scheduler": scheduler})
    for name, request in requests.items():
        yield Case(name=f"SDXL, {name}", request=request)


def settings_cases() -> Iterator[Case]:
    # Above 512 pixels there is more than one tile.
    wide: dict[str, Any] = {"width": 576, "height": 64, "num_inference_steps": 2}
    start, hidden = picture(576, 64), mask(576, 64)
    requests = {
        "txt2img": txt2img(**wide, num_images=2),
        "img2img": img2img(**wide, init_image=start),
        "inpaint": inpaint(**wide, init_image=start, mask_image=hidden),
        "SDXL": txt2img(**wide, model="xl"),
        "small, 2 pictures": txt2img(num_images=2),
    }
    for studio in ("random", "tiles", "frugal"):
        for name, request in requests.items():
            yield Case(name=f"{studio} studio, {name}", request=request, studio=studio)
    for studio in ("bfloat16", "channels last"):
        for name, model in (("txt2img", "plain"), ("SDXL", "xl")):
            request = txt2img(model=model, num_images=2)
            yield Case(name=f"{studio} studio, {name}", request=request, studio=studio)
        yield Case(name=f"{studio} studio, img2img", request=img2img(scheduler="UniPC"), studio=studio)
        yield Case(name=f"{studio} studio, inpaint", request=inpaint(scheduler="Euler a"), studio=studio)


def watched_cases() -> Iterator[Case]:
    """Yield what is watched, stopped or saved on the way."""
    tiny = txt2img(width=128, height=128, num_inference_steps=6)
    yield Case(name="watched, embedded", request=tiny, studio="embedded", preview_every=2)
    requests: dict[str, Txt2ImgRequest] = {
        "3 pictures": txt2img(num_images=3, scheduler="DPM++ 2M Karras"),
        "Heun, velocity": txt2img(model="velocity", scheduler="Heun"),
        "img2img": img2img(scheduler="Euler a"),
        "inpaint": inpaint(scheduler="PLMS"),
        "walk that bisects": walk(bisect=True, frames=3),
        "SDXL by its small decoder": txt2img(model="xl", scheduler="Euler", num_images=2),
    }
    for name, request in requests.items():
        yield Case(name=f"watched, {name}", request=request, preview_every=1)
    yield Case(name="stopped after 2 of 5", request=txt2img(num_images=5), stop_after=2)
    yield Case(name="stopped walk", request=walk(frames=6), stop_after=3)
    saved: dict[str, Txt2ImgRequest] = {
        "txt2img": txt2img(num_images=3),
        "img2img": img2img(),
        "inpaint": inpaint(num_images=2, feather=4),
        "walk": walk(film="webp", bisect=True, frames=3),
        "plane": plane(prompt="{}", columns=2),
    }
    for name, request in saved.items():
        yield Case(name=f"saved, {name}", request=request, save=True)
