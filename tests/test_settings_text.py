"""Where the settings stand in a text, and what each of them is."""

import pytest

from sd_app.metadata import from_infotext, parse_infotext, read_parameters
from sd_app.metadata.settings_text import holds_settings
from sd_app.requests import MAX_SEED, Img2ImgRequest
from tests.infotexts import PICTURE
from tests.limits import within_cpu_seconds

LINE = "Steps: 22, Sampler: Euler a, CFG scale: 6.5, Seed: 5, Size: 512x768"
SOON = 15  # seconds of the processor; time that grows with the square takes over a minute
EXPECTED = {"Steps": "22", "Sampler": "Euler a", "CFG scale": "6.5", "Seed": "5", "Size": "512x768"}


@pytest.mark.parametrize(
    "text",
    [
        f"a cat\nNegative prompt: bad\n{LINE}",
        f"a cat\r\nNegative prompt: bad\r\n{LINE}\r\n",
        f"a cat\nNegative prompt: bad {LINE}",
        f"a cat\nNegative prompt: bad, {LINE}",
        f"a cat Negative prompt: bad {LINE}",
        f"a cat, Negative prompt: bad, {LINE}",
        f"a cat\nNegative prompt: bad\n\n{LINE}",
        f"a cat\nNegative Prompt: bad\n{LINE}",
        "a cat\nNegative prompt: bad\n" + LINE.replace(", ", "\n"),
        f"a cat\nNegative prompt: bad\n{LINE}\n\n",
        f"Prompt: a cat\nNegative prompt: bad\n{LINE}",
        "a cat\nNegative prompt: bad\n" + LINE.replace(", ", ",\n"),
        "a cat\nNegative prompt: bad\nSampler: Euler a, Steps: 22, CFG scale: 6.5, Seed: 5, Size: 512x768",
    ],
)
def test_the_settings_are_found_wherever_they_stand(text: str) -> None:
    info = parse_infotext(text)
    assert (info.prompt, info.negative_prompt, info.fields) == ("a cat", "bad", EXPECTED)


@pytest.mark.parametrize(
    "text",
    [
        f"\ufeffa cat\nNegative prompt: bad\n{LINE}",
        f"\u200ba cat\n\u200bNegative prompt: bad\u2060\n\ufeff{LINE}\u200b",
        f"a cat\nNegative prompt:\u00a0bad\n{LINE}".replace(" scale", "\u00a0scale"),
        f"a cat\nNegative prompt\uff1abad\n{LINE}".replace(", S", "\uff0cS").replace(": ", "\uff1a"),
        f"a cat\nNegative prompt: bad\n{LINE}".replace(": ", ":").replace(", ", ","),
        f"a cat\nNegative prompt: bad\n{LINE}".replace(", ", "; "),
        f"a cat\nNegative prompt: bad\n{LINE}".replace(", ", " | "),
        f"a cat\nNegative prompt: bad\n{LINE}".replace(", ", "\t"),
        f"a cat\rNegative prompt: bad\r{LINE}",
        f"```\na cat\nNegative prompt: bad\n{LINE}\n```",
        f"> a cat\n> Negative prompt: bad\n> {LINE}",
        f"**Prompt:** a cat\n**Negative prompt**: bad\n{LINE}".replace("Seed:", "**Seed:**"),
        f"Prompt\na cat\nNegative prompt\nbad\n{LINE}",
        f"a cat\nNegative prompt: bad\n{LINE}".replace(" 6.5, ", " 6.5,\n"),
        f"a cat\nNegative prompt: bad\n{LINE}".replace("a, ", "a,\n").replace("5, ", "5,\n"),
    ],
)
def test_settings_that_websites_chats_and_mail_handed_on_are_read(text: str) -> None:
    info = parse_infotext(text)
    assert (info.prompt, info.negative_prompt, info.fields) == ("a cat", "bad", EXPECTED)
    assert info.remarks == ()


def test_signs_of_html_are_read_and_said() -> None:
    reading = read_parameters(f"a &quot;big&quot; cat &amp; dog &lt;lora:x:0.5&gt;\n{LINE}")
    assert reading.prompt == 'a "big" cat & dog <lora:x:0.5>'
    assert reading.notes == ["Signs written as in HTML, such as &amp;, are read as what they stand for."]
    ours = read_parameters(f"a &amp; b\n{LINE}, Version: sd_app 0.3.0")
    assert (ours.prompt, ours.notes) == ("a &amp; b", [])


@pytest.mark.parametrize(
    "words",
    [
        "a “cat”, it’s",
        "a **cat** and __dog__",
        "猫、犬，鳥：大",
        "> a cat",
        "Model: a tall woman; Size: huge | pipes",
        "می\u200cخواهم 👩\u200d🚀",
        "big\u200bcat",
        "a\u00a0cat",
    ],
)
def test_the_words_of_a_prompt_stay_as_they_are(words: str) -> None:
    info = parse_infotext(f"{words}\nNegative prompt: {words}\n{LINE}")
    assert (info.prompt, info.negative_prompt, info.fields) == (words, words, EXPECTED)


def test_a_line_of_settings_needs_one_that_every_program_writes_and_a_place_within_a_line_needs_two() -> None:
    for settings in ("Steps: 20, Foo: 1, Bar: 2", "Steps: 20, Sampler: DDIM, Foo: 1"):
        info = parse_infotext(f"a cat\n{settings}")
        assert (info.prompt, len(info.fields), info.fields["Steps"]) == ("a cat", 3, "20")
    assert parse_infotext("a cat Steps: 20, Foo: 1, Bar: 2").fields == {}
    assert len(parse_infotext("a cat Steps: 20, Sampler: DDIM, Foo: 1").fields) == 3


def test_numbers_are_read_as_people_write_them() -> None:
    text = "a\nSteps: 20.0, Sampler: DDIM, CFG scale: 7,5, Seed: 42.0, Width: 512, Height: 768"
    reading = read_parameters(f"{text}, Denoising strength: 0,4", Img2ImgRequest, init_image=PICTURE)
    request = reading.request
    assert (request.num_inference_steps, request.guidance_scale, request.seed) == (20, 7.5, 42)
    assert (request.width, request.height, request.strength) == (512, 768, 0.4)
    assert reading.is_complete, reading.notes
    halves = read_parameters("a\nSteps: 9, Sampler: DDIM, Seed: 4, Size-1: 512, Size-2: 768").request
    assert (halves.width, halves.height) == (512, 768)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("Steps: 9, Steps: 8, Seed: 1, Size: 512x512", "Not understood: Steps: 9."),
        ("Steps: 9, Seed: 1, Size: 99999x99999", "must be a whole number from 64 to 8192"),
        ("Steps: 9, Seed: 1, Size: large", "Not taken: Size: large (must be in a size such as 512x768)."),
        ("Steps: 9, Seed: 1, Size: -512x768", "Not taken: Size: -512x768 (must be in"),
        ("Steps: 9, Seed: 1, Model: m\n\nUploaded by me", "Not understood: Uploaded by me."),
    ],
)
def test_what_is_twice_there_or_no_size_is_named_once(settings: str, told: str) -> None:
    reading = read_parameters(f"a cat\n{settings}")
    assert " ".join(reading.notes).count(told) == 1
    assert reading.request.seed == 1


def test_settings_that_are_there_and_empty_ask_for_nothing() -> None:
    reading = read_parameters("a\nSteps: 20, Sampler: , CFG scale: , Seed: 5, Size: , Model: ")
    assert (reading.request.seed, reading.request.model, reading.notes) == (5, None, [])


@pytest.mark.parametrize(
    "text",
    [
        "a\nSteps: 20,{}x, Sampler: E, CFG scale: 7, Seed: 1",
        "a{}b\nSteps: 20, Sampler: E, CFG scale: 7, Seed: 1",
        "a\nSteps: 20, Sampler: E, CFG scale: 7, Seed: 1, Note:{}b",
    ],
)
@pytest.mark.parametrize("run", [" ", "\t", ";", "\u200b", "\u00a0", ":“", "**", "&amp;", "```\n", ",", '"'])
def test_long_runs_take_no_longer_than_their_length(text: str, run: str) -> None:
    long = text.format(run * (200_000 // len(run)))
    within_cpu_seconds(SOON, lambda: parse_infotext(long))


def test_halves_of_characters_are_left_out_and_said() -> None:
    reading = read_parameters(f"a \ud83d cat \ud83d\ude00\nNegative prompt: b\0ad\n{LINE}, Note: \udfff")
    assert (reading.prompt, reading.request.negative_prompt) == ("a  cat 😀", "bad")
    assert reading.notes[-1] == "Broken characters in its text are left out."
    "".join(reading.notes).encode()


def test_what_is_named_beside_the_prompt_is_taken_or_told() -> None:
    resources = (
        '[{"type":"checkpoint","modelVersionId":1,"modelName":"Some Model"},{"type":"lora","weight":0.8,'
        '"modelVersionId":2,"modelName":"Detail"},{"type":"embed","modelVersionId":3}]'
    )
    reading = read_parameters(f"a cat\n{LINE}, Civitai resources: {resources}")
    assert reading.request.model == "Some Model"
    assert reading.notes == [
        "Resources of Civitai that are not read: LoRA Detail (weight 0.8), embed number 3."
    ]
    assert read_parameters(f"a\n{LINE}, Civitai resources: [1]").request.seed == 5
    weights = 'Lora weights: "offset: 0.1, detail.safetensors: -0.5"'
    reading = read_parameters(f"a cat\n{LINE}, {weights}")
    assert reading.prompt == "a cat <lora:offset:0.1> <lora:detail:-0.5>"
    assert reading.is_complete, reading.notes


RESOURCES = '[{"type":"a","id":1}, {"b": "c, d: e"}]'
HASHES = '{"model": "6ce0", "vae": "1b2c"}'


@pytest.mark.parametrize(
    ("below", "key", "value"),
    [
        ("\nTemplate: a __cat__", "Template", "a __cat__"),
        (f"\nCivitai resources: {RESOURCES}", "Civitai resources", RESOURCES),
        (f", Hashes: {HASHES}, RNG: CPU", "Hashes", HASHES),
        (", Wildcard prompt: one\ntwo, Version: v1.5.1", "Wildcard prompt", "one\ntwo"),
        (', ADetailer prompt: "one,\ntwo: 3\n\n4", Version: v1.5.1', "ADetailer prompt", "one,\ntwo: 3\n\n4"),
        (', ADetailer prompt: "one \\"two\\"\\n3"', "ADetailer prompt", 'one "two"\n3'),
        (", VAE: a, b.vae.pt", "VAE", "a, b.vae.pt"),
        (', Broken: "no end, Version: 1', "Broken", '"no end'),
        (", Time: 3m 4.5s", "Time", "3m 4.5s"),
    ],
)
def test_values_with_line_breaks_quotes_and_json_are_whole(below: str, key: str, value: str) -> None:
    info = parse_infotext(f"a cat\nNegative prompt: bad\n{LINE}{below}")
    assert info.fields[key] == value
    assert {name: info.fields[name] for name in EXPECTED} == EXPECTED
    assert (info.prompt, info.negative_prompt) == ("a cat", "bad")


def test_lines_of_a_prompt_that_look_like_settings_stay_in_it() -> None:
    trap = "Steps: 9, Sampler: Heun, Seed: 1\nphoto: a, b: c, d: e"
    info = parse_infotext(f"{trap}\nNegative prompt: Size: big\n{LINE}")
    assert (info.prompt, info.negative_prompt, info.fields) == (trap, "Size: big", EXPECTED)
    inline = parse_infotext(f"cats in Steps: 3 and more {LINE}")
    assert (inline.prompt, inline.fields) == ("cats in Steps: 3 and more", EXPECTED)
    both = parse_infotext(f"{trap}\nNegative prompt: bad {LINE}")
    assert (both.prompt, both.negative_prompt, both.fields) == (trap, "bad", EXPECTED)
    for words in ("photo: a cat, style: oil, light: soft", "Size: large, a cat", "Seed: of doubt"):
        assert parse_infotext(words).prompt == words
        assert not holds_settings(words)


def test_what_is_no_setting_among_them_is_named() -> None:
    reading = read_parameters(f"a cat\n{LINE.replace(', Seed', ', by my hand, Seed')}")
    assert reading.request.seed == 5
    assert reading.notes == ["Not understood: by my hand."]


def test_each_value_that_cannot_be_taken_is_named_with_its_reason() -> None:
    reading = read_parameters(
        "a cat\nSteps: 5000, Sampler: Nobody's, CFG scale: nan, Seed: -5, Size: 20x513, Clip skip: many, VAE:"
        " None, Face restoration: CodeFormer, Version: v1.10.1, Model hash: 6ce0"
    )
    assert sorted(reading.notes) == [
        "Height 513 became 512, the nearest multiple of 8.",
        "Not taken: CFG scale: nan (must be a number from 0 to 30).",
        "Not taken: Clip skip: many (must be a number).",
        "Not taken: Face restoration: CodeFormer (no such field here).",
        f"Not taken: Seed: -5 (must be a whole number from 0 to {MAX_SEED}).",
        "Not taken: Steps: 5000 (must be a whole number from 1 to 1000).",
        "Not taken: Width: 20 (must be a whole number from 64 to 8192).",
    ]
    assert reading.request.scheduler == "Nobody's"  # the page says that it is not here
    assert reading.request.height == 512


def test_information_is_not_told_as_something_lost() -> None:
    text = (
        f'a cat\n{LINE}, Model hash: 6ce0, VAE hash: 1b, Lora hashes: "a: 1", TI hashes: "b: 2", Version: v1'
    )
    assert read_parameters(f"{text}, Tiling: False, Face restoration: None").is_complete


@pytest.mark.parametrize(
    ("side", "nearest"), [(513, 512), (516, 512), (517, 520), (1023, 1024), (64, 64), (65, 64), (8190, 8192)]
)
def test_a_side_becomes_the_nearest_multiple_of_8(side: int, nearest: int) -> None:
    reading = read_parameters(f"a\nSteps: 5, Seed: 1, Size: {side}x512")
    assert reading.request.width == nearest
    assert reading.is_complete == (side == nearest)


@pytest.mark.parametrize(
    "size",
    ["512 x 768", "512×768", "(512, 768)", "512*768", "512X768", "512x768 px", "512 by 768", "512.0x768.0"],
)
def test_a_size_is_read_as_people_write_it(size: str) -> None:
    request = read_parameters(f'a\nSteps: 5, Seed: 1, Size: "{size}"').request
    assert (request.width, request.height) == (512, 768)


@pytest.mark.parametrize(
    ("written", "read", "told"),
    [
        ("a {cat|dog} \\{x\\}", "a \\{cat|dog} \\{x\\}", "Braces"),
        ("a :} cat {", "a :} cat \\{", "Braces"),
        ("a <hypernet:anime:0.7> cat", "a  cat", "<hypernet:anime:0.7> is not read"),
        ("a <random:red|blue> cat", "a  cat", "<random:red|blue> is not read"),
        ("<lora:s:1:0.5:lbw=ALL> a", "<lora:s:1:0.5> a", "only <lora:s:1:0.5> is read"),
        ("<lora:s:lbw=ALL:x> a", "<lora:s> a", "only <lora:s> is read"),
        ("<lora:s:99> a", "<lora:s> a", "only <lora:s> is read"),
        ("<lora::1> a", " a", "<lora::1> is not read"),
        ("(embedding:EasyNegative:1.2)", "(EasyNegative:1.2)", "the word embedding: is left out"),
        ("a __color__ cat", "a \\__color__ cat", "The wildcard __color__ is read as plain text"),
    ],
)
def test_syntax_of_another_program_becomes_words_and_is_said(written: str, read: str, told: str) -> None:
    reading = read_parameters(f"{written}\n{LINE}")
    assert reading.prompt == read.strip()
    assert told in " ".join(reading.notes)
    assert reading.request.seed == 5


def test_a_lora_of_a_negative_prompt_is_left_out_and_named() -> None:
    reading = read_parameters(f"a cat\nNegative prompt: bad <lora:s:1>\n{LINE}")
    assert reading.request.negative_prompt == "bad"
    assert "<lora:s:1> is not read in a negative prompt" in reading.notes[0]


def test_our_own_braces_are_arithmetic() -> None:
    text = f"a {{cat + dog}}\n{LINE}, Version: sd_app 0.1.0"
    reading = read_parameters(text)
    assert reading.prompt == "a {cat + dog}"
    assert reading.is_complete


def test_a_prompt_that_is_too_long_costs_the_prompt_alone() -> None:
    reading = read_parameters(f"{'cat ' * 10_000}\nNegative prompt: bad\n{LINE}")
    assert reading.prompt is None
    assert (reading.request.negative_prompt, reading.request.seed) == ("bad", 5)
    assert "must have at most 20,000 characters" in reading.notes[0]


def test_a_tab_with_a_picture_takes_its_strength() -> None:
    text = f"a cat\n{LINE}, Denoising strength: 0.45, Mask blur: 4"
    reading = read_parameters(text, Img2ImgRequest, init_image=PICTURE)
    assert reading.request.strength == 0.45
    assert reading.notes == ["Not taken: Mask blur: 4 (no such field here)."]


def test_keys_in_other_programs_spelling_are_known() -> None:
    request = read_parameters(
        "a\nSampling steps: 9, Sampling method: DDIM, Guidance scale: 3, Seed: 4"
    ).request
    assert (request.num_inference_steps, request.guidance_scale, request.scheduler) == (9, 3.0, "DDIM")
    text = f"a\n{LINE}, Model: dreamshaper_8.safetensors [879db523c3]"
    assert read_parameters(text).request.model == "dreamshaper_8"
    request = read_parameters("a\nsteps: 9, Sampler: euler, cfg scale: 3, SEED: 4, Scheduler: karras").request
    assert (request.num_inference_steps, request.guidance_scale, request.seed) == (9, 3.0, 4)
    assert request.sampling == "Euler Karras"


def test_a_line_in_lower_case_and_sides_apart_are_read() -> None:
    request = read_parameters(
        "a cat\nsteps: 9, sampler: euler a, seed: 4, cfg scale: 3, width: 832, height: 1216, draft: false"
    )
    assert (request.request.num_inference_steps, request.request.width, request.request.height) == (
        9,
        832,
        1216,
    )
    assert request.is_complete, request.notes


def test_a_thousand_unknown_settings_do_not_flood_the_notice() -> None:
    text = f"a cat\n{LINE}, " + ", ".join(f"key {number}: {'x' * 500}" for number in range(1000))
    (note,) = read_parameters(text).notes
    assert "; and 940 more (no such field here)." in note
    assert len(note) < 10_000


def test_a_prompt_that_cannot_be_drawn_is_filled_in_and_said() -> None:
    words = "cat AND " * 20 + "dog"
    reading = read_parameters(f"{words}\n{LINE}")
    assert reading.prompt == words
    assert reading.request.seed == 5
    assert reading.notes == ["Prompt must join at most 16 prompts by AND: change it before you generate."]
    with pytest.raises(ValueError, match="prompt must join at most 16 prompts by AND"):
        from_infotext(f"{words}\n{LINE}")
