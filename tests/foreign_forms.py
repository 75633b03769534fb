"""Pictures as other programs save them: their forms of parameters, and the places where files carry those."""

import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, PngImagePlugin

PICTURE = Image.new("RGB", (16, 16), (200, 100, 50))
EXIF_IFD, USER_COMMENT = 0x8769, 0x9286


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a picture was made with, by our names."""

    prompt: str
    negative_prompt: str
    num_inference_steps: int
    guidance_scale: float
    seed: int
    width: int
    height: int
    sampler: str
    schedule: str
    model: str

    @property
    def full_name(self) -> str:
        return f"{self.sampler} {self.schedule}".strip()


@dataclass(frozen=True, kw_only=True)
class Form:
    """Another program's form: the text chunks it writes, and what it calls samplers."""

    name: str
    write: Callable[[Asked, str, str], dict[str, str]]
    samplers: tuple[tuple[str, str, str, str], ...]  # ours: sampler, schedule; theirs: sampler, schedule
    carriers: tuple[str, ...]
    has_schedule: bool = True


def asked(rng: random.Random, sampler: str, schedule: str) -> Asked:
    words = [
        "an orange cat",
        "(a big:1.2) star",
        "[blue] boat",
        "猫が一匹いる",
        "café, naïve",
        "a: colon",
        "c\\(d\\)",
    ]
    return Asked(
        prompt=", ".join(rng.sample(words, 3)),
        negative_prompt=rng.choice(["", "blurry", "bad, ugly (text:1.3)"]),
        num_inference_steps=rng.randint(1, 150),
        guidance_scale=rng.choice([1.0, 4.5, 7.0, 12.0]),
        seed=rng.randrange(2**32),
        width=8 * rng.randint(8, 128),
        height=8 * rng.randint(8, 128),
        sampler=sampler,
        schedule=schedule,
        model=rng.choice(["dreamshaper_8", "juggernautXL_v9", "my model.v2"]),
    )


# -- forms


def a1111(a: Asked, sampler: str, schedule: str) -> dict[str, str]:
    kind = f"Schedule type: {schedule}, " if schedule else ""
    negative = f"\nNegative prompt: {a.negative_prompt}" if a.negative_prompt else ""
    text = (
        f"{a.prompt}{negative}\nSteps: {a.num_inference_steps}, Sampler: {sampler}, {kind}CFG scale:"
        f" {a.guidance_scale:g}, Seed: {a.seed}, Size: {a.width}x{a.height}, Model hash: 6ce0161689, Model:"
        f' {a.model}, Lora hashes: "a: 1b, c: 2d", Version: v1.10.1'
    )
    return {"parameters": text}


def forge(a: Asked, sampler: str, schedule: str) -> dict[str, str]:
    text = a1111(a, sampler, schedule)["parameters"]
    return {"parameters": text.replace("Version: v1.10.1", "Version: f2.0.1v1.10.1-previous-669-gdfdcbab6")}


def sdnext(a: Asked, sampler: str, schedule: str) -> dict[str, str]:
    negative = f"\nNegative prompt: {a.negative_prompt}" if a.negative_prompt else ""
    text = (
        f"{a.prompt}{negative}\nSteps: {a.num_inference_steps}, Size: {a.width}x{a.height}, Sampler:"
        f" {sampler}, Seed: {a.seed}, CFG scale: {a.guidance_scale:g}, Model: {a.model}, Model hash: 6ce0,"
        f" App: SD.Next, Version: 1b2c3d4, Operations: txt2img, Sampler sigma: {schedule}"
    )
    return {"parameters": text}


def comfyui(a: Asked, sampler: str, schedule: str) -> dict[str, str]:
    graph = {
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": ["12", 0],
                "steps": a.num_inference_steps,
                "cfg": a.guidance_scale,
                "denoise": 1,
                "sampler_name": sampler,
                "scheduler": schedule,
                "latent_image": ["5", 0],
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
            },
        },
        "4": {
            "class_type": "CheckpointLoaderSimple",
            "inputs": {"ckpt_name": f"sd15\\{a.model}.safetensors"},
        },
        "5": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": a.width, "height": a.height, "batch_size": 1},
        },
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": a.prompt, "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": ["13", 0], "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
        "12": {"class_type": "PrimitiveInt", "inputs": {"value": a.seed}},
        "13": {"class_type": "PrimitiveString", "inputs": {"value": a.negative_prompt}},
    }
    return {"prompt": json.dumps(graph), "workflow": json.dumps({"nodes": [], "links": [], "version": 0.4})}


def invokeai(a: Asked, sampler: str, schedule: str) -> dict[str, str]:
    data = {
        "app_version": "5.4.0",
        "generation_mode": "txt2img",
        "positive_prompt": a.prompt,
        "negative_prompt": a.negative_prompt,
        "width": a.width,
        "height": a.height,
        "seed": a.seed,
        "rand_device": "cpu",
        "cfg_scale": a.guidance_scale,
        "steps": a.num_inference_steps,
        "scheduler": sampler,
        "clip_skip": 0,
        "seamless_x": False,
        "cfg_rescale_multiplier": 0.0,
        "model": {"key": "1", "hash": "blake3:1", "name": a.model, "base": "sd-1", "type": "main"},
    }
    return {"invokeai_metadata": json.dumps(data)}


def novelai(a: Asked, sampler: str, schedule: str) -> dict[str, str]:
    comment = {
        "prompt": a.prompt,
        "uc": a.negative_prompt,
        "steps": a.num_inference_steps,
        "n_samples": 1,
        "height": a.height,
        "width": a.width,
        "scale": a.guidance_scale,
        "uncond_scale": 1.0,
        "cfg_rescale": 0.0,
        "seed": a.seed,
        "sampler": sampler,
        "noise_schedule": schedule,
        "sm": False,
        "signed_hash": "abc==",
        "request_type": "PromptGenerateRequest",
    }
    return {
        "Title": "AI generated image",
        "Software": "NovelAI",
        "Source": a.model,
        "Description": a.prompt,
        "Comment": json.dumps(comment),
    }


def fooocus(a: Asked, sampler: str, schedule: str) -> dict[str, str]:
    data = {
        "base_model": a.model,
        "base_model_hash": "1b2c",
        "prompt": a.prompt,
        "seed": str(a.seed),
        "negative_prompt": a.negative_prompt,
        "steps": a.num_inference_steps,
        "sampler": sampler,
        "scheduler": schedule,
        "guidance_scale": a.guidance_scale,
        "performance": "Speed",
        "styles": "[]",
        "resolution": f"({a.width}, {a.height})",
        "metadata_scheme": "fooocus",
        "vae": "Default (model)",
        "full_prompt": [a.prompt],
        "refiner_model": "None",
        "version": "Fooocus v2.5.5",
    }
    return {"parameters": json.dumps(data), "fooocus_scheme": "fooocus"}


def swarmui(a: Asked, sampler: str, schedule: str) -> dict[str, str]:
    values = {
        "prompt": a.prompt,
        "negativeprompt": a.negative_prompt,
        "model": f"OfficialStableDiffusion/{a.model}",
        "images": 1,
        "seed": a.seed,
        "steps": a.num_inference_steps,
        "cfgscale": a.guidance_scale,
        "width": a.width,
        "height": a.height,
        "sampler": sampler,
        "scheduler": schedule,
        "swarm_version": "0.9.4.0",
    }
    return {"parameters": json.dumps({"sui_image_params": values, "sui_models": []}, indent=2)}


def easy_diffusion(a: Asked, sampler: str, schedule: str) -> dict[str, str]:
    return {
        "prompt": a.prompt,
        "negative_prompt": a.negative_prompt,
        "seed": str(a.seed),
        "use_stable_diffusion_model": a.model,
        "num_inference_steps": str(a.num_inference_steps),
        "guidance_scale": str(a.guidance_scale),
        "width": str(a.width),
        "height": str(a.height),
        "sampler_name": sampler,
        "use_vae_model": "None",
        "clip_skip": "False",
        "tiling": "None",
    }


def draw_things(a: Asked, sampler: str, schedule: str) -> dict[str, str]:
    data = {
        "c": a.prompt,
        "uc": a.negative_prompt,
        "steps": a.num_inference_steps,
        "sampler": sampler,
        "scale": a.guidance_scale,
        "seed": a.seed,
        "size": f"{a.width}x{a.height}",
        "lora": [],
        "model": f"{a.model}.ckpt",
        "strength": 1,
        "v2": {"steps": 3},
    }
    return {"XML:com.adobe.xmp": xmp(json.dumps(data))}


def xmp(text: str) -> str:
    inside = text.replace("&", "&amp;").replace("<", "&lt;")
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description rdf:about=""><exif:UserComment>'
        f'<rdf:Alt><rdf:li xml:lang="x-default">{inside}</rdf:li></rdf:Alt></exif:UserComment>'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


_WEB = (("Euler a", "", "Euler a", "Automatic"), ("DPM++ 2M", "Karras", "DPM++ 2M", "Karras"))
_COMFY = (("Euler", "Karras", "euler", "karras"), ("DPM++ 2M SDE", "Karras", "dpmpp_2m_sde_gpu", "karras"))
_EXIF = ("jpeg", "webp", "avif")
_PNG = ("png", "png behind", "png latin", "png zipped")
FORMS = (
    Form(name="AUTOMATIC1111", write=a1111, samplers=_WEB, carriers=(*_PNG, *_EXIF, "jpeg le", "webp utf-8")),
    Form(name="Forge", write=forge, samplers=_WEB, carriers=("png", *_EXIF)),
    Form(
        name="SD.Next",
        write=sdnext,
        samplers=(("DPM++ 2M", "Karras", "DPM++ 2M", "karras"), ("UniPC", "", "UniPC", "default")),
        carriers=("png", *_EXIF, "png behind", "jpeg type 2"),
    ),
    Form(name="ComfyUI", write=comfyui, samplers=_COMFY, carriers=(*_PNG, "webp make", "avif make")),
    Form(
        name="InvokeAI",
        write=invokeai,
        samplers=(("DPM++ 2M", "Karras", "dpmpp_2m_k", ""), ("Euler a", "", "euler_a", "")),
        carriers=_PNG,
    ),
    Form(
        name="NovelAI",
        write=novelai,
        samplers=(
            ("Euler a", "", "k_euler_ancestral", "native"),
            ("DPM++ 2M", "Karras", "k_dpmpp_2m", "karras"),
        ),
        carriers=(*_PNG, "webp", "png hidden"),
    ),
    Form(name="Fooocus", write=fooocus, samplers=_COMFY, carriers=("png", "jpeg main", "webp main", "jpeg")),
    Form(name="SwarmUI", write=swarmui, samplers=_COMFY, carriers=("png", "png behind", "jpeg", "webp")),
    Form(
        name="Easy Diffusion",
        write=easy_diffusion,
        samplers=(("Euler a", "", "euler_a", ""), ("DDIM", "", "ddim", "")),
        carriers=("png", "png behind", "jpeg", "webp"),
    ),
    Form(
        name="Draw Things",
        write=draw_things,
        samplers=(("Euler a", "", "Euler A", ""), ("DPM++ 2M", "Karras", "DPM++ 2M Karras", "")),
        carriers=("png", "png behind", "jpeg xmp", "webp xmp"),
    ),
)


# -- carriers


def save(texts: dict[str, str], carrier: str, path: Path) -> None:
    """Save a picture with the texts: as PNG's chunks, or as one text where a file has but one place."""
    kind, _, place = carrier.partition(" ")
    if kind == "png":
        path.write_bytes(png_with(texts, place))
        return
    one = next(iter(texts.values())) if "parameters" in texts or len(texts) == 1 else json.dumps(texts)
    exif = Image.Exif()
    options: dict[str, object] = {}
    if place == "xmp":
        options["xmp"] = one.encode()
    elif place == "make":
        exif[0x010F], exif[0x0110] = f"workflow:{texts['workflow']}", f"prompt:{texts['prompt']}"
    elif place == "main":  # Fooocus
        exif[USER_COMMENT], exif[0x0131] = one.encode(), "Fooocus v2.5.5"
    elif place == "type 2":
        exif.get_ifd(EXIF_IFD)[USER_COMMENT] = one.encode()
    else:
        encoding = {"le": "utf-16-le", "utf-8": "utf-8"}.get(place, "utf-16-be")
        exif.get_ifd(EXIF_IFD)[USER_COMMENT] = b"UNICODE\0" + one.encode(encoding)
    PICTURE.save(path, {"jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF"}[kind], exif=exif.tobytes(), **options)


def png_with(texts: dict[str, str], place: str = "") -> bytes:
    """Return a PNG with text chunks in front of the pixels or behind them, or with hidden text."""
    chunks = b""
    for key, text in texts.items():
        if place == "zipped":
            chunks += chunk(b"zTXt", key.encode() + b"\0\0" + zlib.compress(text.encode()))
        elif place == "latin":  # what should be Latin-1 and is UTF-8
            chunks += chunk(b"tEXt", key.encode() + b"\0" + text.encode())
        else:
            chunks += chunk(b"iTXt", key.encode() + b"\0\0\0\0\0" + text.encode())
    if place == "hidden":
        return hidden_png(json.dumps(texts))
    plain = plain_png()
    at = len(plain) - 12 if place == "behind" else 33  # the end chunk, or behind the header
    return plain[:at] + chunks + plain[at:]


def plain_png(image: Image.Image = PICTURE, **options: PngImagePlugin.PngInfo) -> bytes:
    stream = BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def hidden_png(text: str, *, compressed: bool = True) -> bytes:
    """Return a PNG with a text in its lowest bits of alpha, down the columns."""
    data = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    packed = data.compress(text.encode()) + data.flush() if compressed else text.encode()
    signature = b"stealth_pngcomp" if compressed else b"stealth_pnginfo"
    whole = signature + struct.pack(">I", 8 * len(packed)) + packed
    bits = [byte >> place & 1 for byte in whole for place in range(7, -1, -1)]
    image = Image.new("RGBA", (160, 160), (9, 9, 9, 254))
    for index, bit in enumerate(bits):
        image.putpixel((index // 160, index % 160), (9, 9, 9, 254 | bit))
    return plain_png(image)
