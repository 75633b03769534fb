"""Infotext both ways, pictures that carry their request, and saving that never loses or mixes files."""

import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from sd_app import metadata
from sd_app.metadata import (
    EXACT_PROMPTS,
    from_infotext,
    list_outputs,
    parse_infotext,
    read_infotext,
    save_image,
    to_infotext,
    write_png,
)
from sd_app.requests import (
    BLENDS,
    MASKED_CONTENTS,
    MAX_SEED,
    RESIZE_MODES,
    Img2ImgRequest,
    InpaintRequest,
    Txt2ImgRequest,
)

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

A1111 = """\
girl with an artist's beret, ((eyeshadow)), (blue:1.2), [coquettish], by Alphonse Mucha
second line of the prompt
Negative prompt: ugly, (((deformed))), bad anatomy: all of it
more of what to avoid
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 965400086, Size: 512x768, \
Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, VAE: "vae:ft, mse", Denoising strength: 0.75, \
Clip skip: 2, Hires upscale: 2, Lora hashes: "a: 1b2c, d: 3e4f", Version: v1.10.1"""


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
    usual = st.sampled_from(
        ["DPM++ 2M", "DPM++ 2M Karras", "Euler a", "LCM", "tiny-sd", "owner/name", "Karras"]
    )
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
        num_inference_steps=draw(st.integers(1, 1000)),
        guidance_scale=draw(st.floats(0, 30)),
        seed=draw(st.integers(0, MAX_SEED - num_images + 1)),
        width=draw(sides),
        height=draw(sides),
        num_images=num_images,
        clip_skip=draw(st.integers(1, 12)),
        guidance_end=draw(st.floats(0, 1)),
        cache_interval=draw(st.integers(1, 10)),
        vae=draw(st.none() | names()),
    )


@settings(max_examples=200, deadline=None)
@given(resolved_requests())
@example(replace(PLAIN, prompt="x" * 10_000, negative_prompt="ü\n" * 5_000))
@example(replace(PLAIN, prompt=" blanks \r\n around ", negative_prompt="\n"))
@example(replace(PLAIN, prompt='a {row: "b, c: d" + 0.5*lerp(e, <f>, 1/3)}', negative_prompt="\\{ {-g}"))
@example(replace(PLAIN, scheduler="DPM++ 2M"))
@example(replace(PLAIN, scheduler="x Karras Karras"))
@example(replace(PLAIN, guidance_scale=5e-324))
@example(replace(PLAIN, model="caf\udce9 of an old disk"))
def test_a_request_written_and_read_back_is_equal(request_: Txt2ImgRequest) -> None:
    assert from_infotext(to_infotext(request_)) == request_


@settings(max_examples=50, deadline=None)
@given(resolved_requests())
@example(replace(PLAIN, model="caf\udce9 of an old disk"))
def test_a_request_survives_the_picture_file(request_: Txt2ImgRequest) -> None:
    text = to_infotext(request_)
    stream = BytesIO(metadata.png_bytes(PICTURE, text))
    assert read_infotext(Image.open(stream)) == text


def test_the_text_is_the_one_other_tools_read() -> None:
    assert to_infotext(replace(PLAIN, clip_skip=2), model_hash="6ce0161689", version="1") == (
        "an orange cat, on the beach\n"
        "Negative prompt: blurry, text\n"
        "Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 5, Seed: 7, Size: 128x192,"
        " Model hash: 6ce0161689, Model: tiny-sd, Clip skip: 2, Version: 1"
    )


def test_what_was_made_faster_says_so() -> None:
    text = to_infotext(replace(PLAIN, guidance_end=0.5, cache_interval=3), version="1")
    assert text.endswith("Model: tiny-sd, Guidance end: 0.5, DeepCache interval: 3, Version: 1")


def test_what_says_nothing_is_left_out() -> None:
    text = to_infotext(
        replace(PLAIN, negative_prompt="", scheduler="Euler a", guidance_scale=7.5), version="1"
    )
    assert text == (
        "an orange cat, on the beach\n"
        "Steps: 25, Sampler: Euler a, CFG scale: 7.5, Seed: 7, Size: 128x192, Model: tiny-sd, Version: 1"
    )


def test_a_value_with_a_comma_or_a_colon_is_quoted_as_json() -> None:
    assert 'Model: "a, b: c"' in to_infotext(replace(PLAIN, model="a, b: c"))
    assert "Model: tiny-sd," in to_infotext(PLAIN)


def test_only_an_ambiguous_prompt_gets_the_exact_key() -> None:
    several_lines = replace(PLAIN, prompt='(a "cat":1.2),\n\nBREAK, [dog]', negative_prompt="a\nb")
    assert EXACT_PROMPTS not in to_infotext(several_lines)
    for prompt in ("a \nb", "a\r\nb", " a", "a\nNegative prompt: b"):
        assert EXACT_PROMPTS in to_infotext(replace(PLAIN, prompt=prompt))


def test_a_sampler_without_its_automatic_schedule_says_so() -> None:
    """Other tools take a missing schedule type for automatic, which is Karras for this sampler."""
    assert "Sampler: DPM++ 2M, Schedule type: Uniform, CFG" in to_infotext(
        replace(PLAIN, scheduler="DPM++ 2M")
    )


def test_an_unresolved_request_is_refused_by_field() -> None:
    with pytest.raises(ValueError, match="seed must be known"):
        to_infotext(replace(PLAIN, seed=None))


def test_an_infotext_of_automatic1111_is_read() -> None:
    assert from_infotext(A1111) == Txt2ImgRequest(
        prompt="girl with an artist's beret, ((eyeshadow)), (blue:1.2), [coquettish], by Alphonse Mucha\n"
        "second line of the prompt",
        negative_prompt="ugly, (((deformed))), bad anatomy: all of it\nmore of what to avoid",
        model="v1-5-pruned-emaonly",
        scheduler="DPM++ 2M Karras",
        num_inference_steps=20,
        guidance_scale=7.0,
        seed=965400086,
        width=512,
        height=768,
        clip_skip=2,
        vae="vae:ft, mse",
    )


def test_unknown_keys_are_kept() -> None:
    fields = parse_infotext(A1111).fields
    assert fields["Denoising strength"] == "0.75"
    assert fields["VAE"] == "vae:ft, mse"
    assert fields["Lora hashes"] == "a: 1b2c, d: 3e4f"


@pytest.mark.parametrize(
    ("written", "scheduler"),
    [
        ("Sampler: DPM++ 2M Karras", "DPM++ 2M Karras"),
        ("Sampler: DPM++ 2M", "DPM++ 2M"),
        ("Sampler: DPM++ 2M, Schedule type: Karras", "DPM++ 2M Karras"),
        ("Sampler: DPM++ 2M, Schedule type: Uniform", "DPM++ 2M"),
        ("Sampler: DPM++ 2M, Schedule type: Automatic", "DPM++ 2M Karras"),
        ("Sampler: DPM++ 2M Karras, Schedule type: Karras", "DPM++ 2M Karras"),
        ("Sampler: Euler a, Schedule type: Automatic", "Euler a"),
        ("Sampler: DPM adaptive of tomorrow", "DPM adaptive of tomorrow"),
    ],
)
def test_old_and_new_names_of_samplers_are_read(written: str, scheduler: str) -> None:
    assert from_infotext(f"a cat\nSteps: 20, {written}, CFG scale: 7").scheduler == scheduler


def test_values_beyond_our_range_are_left_to_the_default() -> None:
    request = from_infotext(
        "a cat\nSteps: 5000, Sampler: Euler, CFG scale: nan, Seed: -1, Size: 513x512, Clip skip: many"
    )
    assert request == Txt2ImgRequest(prompt="a cat", scheduler="Euler", height=512)


def test_two_parameters_are_not_a_parameter_line() -> None:
    assert parse_infotext("a cat\nSteps: 20, Seed: 1").prompt == "a cat\nSteps: 20, Seed: 1"
    assert parse_infotext("a cat\nSteps: 20, Seed: 1, Size: 8x8").prompt == "a cat"


def test_a_text_without_a_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="prompt must not be empty"):
        from_infotext("Steps: 20, Sampler: Euler, Seed: 1")


@pytest.mark.parametrize(
    "hostile", ["a" * 1_000_000, "a " * 500_000, 'a1: "' * 200_000, " " * 10**6 + "x", 'a1: "\\' * 200_000]
)
def test_a_long_hostile_line_is_read_in_linear_time(hostile: str) -> None:
    began = time.process_time()
    parse_infotext(hostile)
    assert time.process_time() - began < 3


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_reading_any_text_never_fails(text: str) -> None:
    parse_infotext(text)


@pytest.mark.parametrize("text", [to_infotext(PLAIN), to_infotext(replace(PLAIN, prompt="猫 🐈\nnew line"))])
@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "utf-16"])
def test_other_formats_hold_it_in_the_exif_comment(
    tmp_path: Path, image_format: str, text: str, encoding: str
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode(encoding)
    path = tmp_path / "picture"
    PICTURE.save(path, image_format, exif=exif)
    assert read_infotext(path) == text


def test_an_ascii_comment_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + b"a cat"
    PICTURE.save(tmp_path / "a.jpg", exif=exif)
    assert read_infotext(tmp_path / "a.jpg") == "a cat"


def test_a_picture_without_parameters_says_none_and_a_text_file_is_refused(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.png")
    PICTURE.save(tmp_path / "b.jpg")
    assert read_infotext(tmp_path / "a.png") is None
    assert read_infotext(tmp_path / "b.jpg") is None
    (tmp_path / "c.png").write_text("not a picture")
    with pytest.raises(ValueError, match=r"c\.png is not a picture with parameters"):
        read_infotext(tmp_path / "c.png")


@pytest.mark.parametrize(("prompt", "chunk"), [("a café", b"tEXt"), ("猫", b"iTXt")])
def test_the_text_chunk_is_latin_1_where_it_can_be(tmp_path: Path, prompt: str, chunk: bytes) -> None:
    path = save_image(PICTURE, replace(PLAIN, prompt=prompt), outputs_dir=tmp_path, seed=7)
    assert chunk + b"parameters\0" in path.read_bytes()


def test_a_saved_picture_holds_its_pixels_and_its_own_request(tmp_path: Path) -> None:
    path = save_image(PICTURE, replace(PLAIN, num_images=4), outputs_dir=tmp_path, seed=9)
    assert path == tmp_path / date.today().isoformat() / "00000-9.png"
    with Image.open(path) as image:
        assert image.tobytes() == PICTURE.tobytes()
    text = read_infotext(path)
    assert text is not None
    assert from_infotext(text) == replace(PLAIN, seed=9, num_images=1)


def test_numbers_go_on_after_the_highest_and_never_overwrite(tmp_path: Path) -> None:
    folder = tmp_path / date.today().isoformat()
    folder.mkdir()
    (folder / "00041-1.png").write_bytes(b"mine")
    (folder / "notes.txt").write_bytes(b"mine too")
    first = save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1)
    second = save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1)
    assert [first.name, second.name] == ["00042-1.png", "00043-1.png"]
    assert (folder / "00041-1.png").read_bytes() == b"mine"


def test_past_99999_the_numbers_grow_and_newest_stays_first(tmp_path: Path) -> None:
    folder = tmp_path / date.today().isoformat()
    folder.mkdir()
    (folder / "99999-1.png").touch()
    path = save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1)
    assert path.name == "100000-1.png"
    assert list_outputs(tmp_path, 1) == [path]


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.name.partition("-")[0]) for path in folder.iterdir())


def test_threads_get_one_number_each(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        jobs = [
            pool.submit(save_image, PICTURE, PLAIN, outputs_dir=tmp_path, seed=seed) for seed in range(120)
        ]
        paths = [job.result() for job in jobs]
    assert len(set(paths)) == 120
    assert numbers(tmp_path / date.today().isoformat()) == list(range(120))
    for seed, path in enumerate(paths):
        text = read_infotext(path)
        assert text is not None
        assert from_infotext(text).seed == seed


SAVER = """
import sys
from pathlib import Path
from PIL import Image
from sd_app.metadata import from_infotext, save_image
request = from_infotext(sys.argv[2])
for seed in range(40):
    save_image(Image.new("RGB", (8, 8)), request, outputs_dir=Path(sys.argv[1]), seed=int(sys.argv[3]) + seed)
"""


def test_processes_get_one_number_each(tmp_path: Path) -> None:
    savers = [
        subprocess.Popen([sys.executable, "-c", SAVER, str(tmp_path), to_infotext(PLAIN), str(1000 * index)])
        for index in range(4)
    ]
    assert [saver.wait(60) for saver in savers] == [0, 0, 0, 0]
    assert numbers(tmp_path / date.today().isoformat()) == list(range(160))


def test_a_number_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / date.today().isoformat()
    folder.mkdir()
    (folder / ".00000.partial").touch()
    assert save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1).name == "00001-1.png"
    assert (folder / ".00000.partial").exists()


def test_a_number_reserved_after_we_looked_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = iter([0, 1])
    monkeypatch.setattr(metadata, "_next_number", lambda folder: next(stale))
    folder = tmp_path / date.today().isoformat()
    folder.mkdir()
    (folder / ".00000.partial").write_bytes(b"being written")
    assert save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1).name == "00001-1.png"
    assert (folder / ".00000.partial").read_bytes() == b"being written"


def test_a_number_finished_after_we_looked_is_not_given_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = iter([0, 0, 1])
    save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1)
    monkeypatch.setattr(metadata, "_next_number", lambda folder: next(stale))
    assert save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=2).name == "00001-2.png"


def test_a_full_disk_leaves_no_half_file_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(OSError, match=r"cannot save in .*: No space left on device \(free some") as caught:
        save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1)
    assert caught.value.errno == errno.ENOSPC
    assert list((tmp_path / date.today().isoformat()).iterdir()) == []
    monkeypatch.undo()
    assert save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1).name == "00000-1.png"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file is in the way")
    with pytest.raises(OSError, match=r"cannot save in .*outputs"):
        save_image(PICTURE, PLAIN, outputs_dir=tmp_path / "outputs", seed=1)


def test_a_file_system_without_links_still_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: object, target: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    paths = [save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=seed) for seed in range(3)]
    assert numbers(paths[0].parent) == [0, 1, 2]


def test_a_file_of_the_users_choice_is_replaced_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"older")
    write_png(PICTURE, "first", path)
    assert read_infotext(path) == "first"

    def fail(self: Path, target: Path) -> Path:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="Read-only"):
        write_png(PICTURE, "second", path)
    assert read_infotext(path) == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def test_listing_is_newest_first_and_knows_only_our_files(tmp_path: Path) -> None:
    for name in (
        "2025-12-31/00003-1.png",
        "2026-01-01/00000-5.png",
        "2026-01-01/00010-2.png",
        "2026-01-01/00009-3.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("2026-01-01/.00011.partial", "2026-01-01/notes.png", "grids"):
        (tmp_path / name).touch()
    listed = [path.relative_to(tmp_path).as_posix() for path in list_outputs(tmp_path, 10)]
    assert listed == [
        "2026-01-01/00010-2.png",
        "2026-01-01/00009-3.png",
        "2026-01-01/00000-5.png",
        "2025-12-31/00003-1.png",
    ]
    assert list_outputs(tmp_path, 2) == [tmp_path / name for name in listed[:2]]
    assert list_outputs(tmp_path, 0) == []
    assert list_outputs(tmp_path / "nothing", 5) == []


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


@settings(max_examples=100, deadline=None)
@given(picture_requests())
def test_a_request_with_pictures_is_read_back_equal_when_they_are_given(request_: Img2ImgRequest) -> None:
    names = ("init_image", "mask_image") if isinstance(request_, InpaintRequest) else ("init_image",)
    pictures = {name: getattr(request_, name) for name in names}
    assert from_infotext(to_infotext(request_), type(request_), **pictures) == request_


def test_one_step_at_full_strength_is_read_back_equal() -> None:
    request = Img2ImgRequest(**{**vars(PLAIN), "num_inference_steps": 1}, init_image=PICTURE, strength=1)
    assert from_infotext(to_infotext(request), Img2ImgRequest, init_image=PICTURE) == request


def test_inpainting_is_written_under_the_names_other_tools_know() -> None:
    request = InpaintRequest(
        **vars(PLAIN),
        init_image=PICTURE,
        mask_image=PICTURE.convert("L"),
        strength=0.6,
        feather=4,
        masked_content="noise",
        only_masked=True,
        invert_mask=True,
    )
    text = to_infotext(request)
    assert (
        "Denoising strength: 0.6, Mask blur: 4, Mask mode: Inpaint not masked, Masked content: latent noise,"
        " Inpaint area: Only masked, Masked area padding: 32"
    ) in text
    usual = to_infotext(
        replace(request, feather=0, masked_content="original", only_masked=False, invert_mask=False)
    )
    assert "Denoising strength: 0.6, Version" in usual
    assert from_infotext(text) == PLAIN


def test_a1111s_inpainting_is_read() -> None:
    text = A1111.replace("Mask blur: 4, ", "").replace(
        "Clip skip: 2", "Mask blur: 4, Masked content: latent nothing"
    )
    request = from_infotext(text, InpaintRequest, init_image=PICTURE, mask_image=PICTURE.convert("L"))
    assert (request.strength, request.feather, request.masked_content) == (0.75, 4, "original")


def test_companions_are_saved_under_the_pictures_number(tmp_path: Path) -> None:
    other = Image.new("RGB", (8, 8), "blue")
    paths = [
        save_image(
            PICTURE, PLAIN, outputs_dir=tmp_path, seed=7, companions={"raw": other, "roundtrip": PICTURE}
        )
        for _ in range(2)
    ]
    names = sorted(path.name for path in paths[0].parent.iterdir())
    assert names == [f"0000{n}-7{end}.png" for n in (0, 1) for end in ("-raw", "-roundtrip", "")]
    assert list_outputs(tmp_path, 10) == paths[::-1]
    with Image.open(paths[0].with_stem("00000-7-raw")) as raw:
        assert raw.tobytes() == other.tobytes()
    assert read_infotext(paths[0].with_stem("00000-7-raw")) == read_infotext(paths[0])


def test_a_number_whose_picture_is_missing_is_not_given_again(tmp_path: Path) -> None:
    first = save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=7, companions={"raw": PICTURE})
    first.unlink()
    assert save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=7).name == "00001-7.png"
