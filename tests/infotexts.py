"""Requests that the tests of infotexts and picture files share, and strategies that draw more."""

from hypothesis import strategies as st
from PIL import Image

from sd_app.requests import (
    BLENDS,
    MASKED_CONTENTS,
    MAX_SEED,
    RESIZE_MODES,
    Img2ImgRequest,
    InpaintRequest,
    Txt2ImgRequest,
)
from sd_app.schedulers import SCHEDULE_TYPES

PLAIN = Txt2ImgRequest(
    prompt="an orange cat, on the beach",
    negative_prompt="blurry, text",
    model="tiny-sd",
    scheduler="DPM++ 2M Karras",
    num_inference_steps=25,
    guidance_scale=5.0,
    seed=7,
    width=128,
    height=192,
)


PICTURE = Image.new("RGB", (8, 8), (200, 100, 50))


def words() -> st.SearchStrategy[str]:
    """Text of every kind, often with pieces that infotext takes for its own."""
    traps = st.sampled_from(
        [
            "Negative prompt: x",
            "\nNegative prompt: y",
            "Negative prompt:",
            "\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1",
            'Exact prompts: "[]"',
            "\r\n",
            "\n",
            " ",
            "\t",
            "\x85",
            "\u2028",
            '"',
            "'",
            "\\",
            "\\n",
            ",",
            ":",
            "(a:1.2)",
            "a cat",
            "日本語",
            "🐈‍⬛",
            "é",
            "\x1c",
        ]
    )
    char = st.characters(exclude_characters="\0{", exclude_categories=["Cs"])  # a brace opens arithmetic
    return st.lists(st.one_of(traps, st.text(char, max_size=12)), max_size=8).map("".join)


def names() -> st.SearchStrategy[str]:
    usual = st.sampled_from(["DPM++ 2M", "DPM++ 2M SDE", "Euler a", "LCM", "tiny-sd", "owner/name", "Karras"])
    return st.one_of(usual, words().map(lambda text: text[:500])).filter(str.strip)


@st.composite
def resolved_requests(draw: st.DrawFn) -> Txt2ImgRequest:
    num_images = draw(st.integers(1, 1000))
    sides = st.integers(8, 1024).map(lambda n: n * 8)
    return Txt2ImgRequest(
        prompt=draw(words().filter(str.strip)),
        negative_prompt=draw(words()),
        model=draw(names()),
        scheduler=draw(names()),
        schedule_type=draw(st.sampled_from(SCHEDULE_TYPES)),
        num_inference_steps=draw(st.integers(1, 1000)),
        guidance_scale=draw(st.floats(0, 30)),
        seed=draw(st.integers(0, MAX_SEED - num_images + 1)),
        width=draw(sides),
        height=draw(sides),
        num_images=num_images,
        clip_skip=draw(st.integers(1, 12)),
        guidance_end=draw(st.floats(0, 1)),
        cache_interval=draw(st.integers(1, 10)),
        template=draw(words().map(lambda text: f"{text}." if text else "")),
        negative_template=draw(words().map(lambda text: f"{text}." if text else "")),
        vae=draw(st.none() | names()),
    )


@st.composite
def picture_requests(draw: st.DrawFn) -> Img2ImgRequest:
    fields = {name: value for name, value in vars(draw(resolved_requests())).items() if value is not None}
    fields |= {"init_image": PICTURE, "strength": draw(st.floats(0.5, 1)), "num_inference_steps": 20}
    if draw(st.booleans()):
        return Img2ImgRequest(**fields, resize_mode=draw(st.sampled_from(RESIZE_MODES)))
    return InpaintRequest(
        **fields,
        mask_image=PICTURE.convert("L"),
        resize_mode=draw(st.sampled_from(["pad", "stretch"])),
        feather=draw(st.integers(0, 512)),
        masked_content=draw(st.sampled_from(MASKED_CONTENTS)),
        only_masked=draw(st.booleans()),
        padding=draw(st.integers(0, 1024)),
        invert_mask=draw(st.booleans()),
        soft_mask=draw(st.booleans()),
        color_match=draw(st.booleans()),
        blend=draw(st.sampled_from(BLENDS)),
        outpaint=draw(st.tuples(*[st.integers(0, 8192)] * 4)),
    )
