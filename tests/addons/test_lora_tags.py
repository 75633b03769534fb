"""LoRAs in prompts: what a tag means, and where it counts."""

from typing import Any

import pytest

from sd_app import BlendRequest, Img2ImgRequest, Txt2ImgRequest, WalkRequest
from sd_app.expressions.tags import find_tags, remove_tags
from sd_app.metadata import from_infotext, read_infotext
from sd_app.requests import take_apart
from tests.addons.steps import KNOWN, PROMPT, draw


def test_a_tag_is_no_token_and_stays_in_the_saved_prompt(studio, tmp_path):
    tagged = "a (big <lora:a:0.5>:1.2) cat"
    assert studio.tokens(tagged) == studio.tokens("a (big :1.2) cat")
    assert studio.token_table(tagged) == studio.token_table("a (big :1.2) cat")
    result = studio.txt2img(Txt2ImgRequest(prompt=tagged, **KNOWN))
    request = from_infotext(read_infotext(result.paths[0]) or "")
    assert request.prompt == tagged
    assert studio.txt2img(request, save=False).images[0].tobytes() == result.images[0].tobytes()


def test_a_tag_counts_beside_braces_weights_walks_blends_and_pictures(studio):
    merged = draw(studio, f"{PROMPT} <lora:a:0.5>")
    assert draw(studio, "a drawing of a {cat} <lora:a:0.5>") == merged
    assert draw(studio, "<lora:a:0.5>a drawing of a {row: cat}") == merged
    blend = BlendRequest(expression="cat", prompt="a drawing of a {} <lora:a:0.5>", **KNOWN)
    assert studio.blend(blend, save=False).images[0].tobytes() == merged
    walk = WalkRequest(
        a="cat", b="dog", prompt="a drawing of a {} <lora:a:0.5>", frames=2, film="none", **KNOWN
    )
    assert studio.walk(walk, save=False).images[0].tobytes() == merged
    start = studio.txt2img(Txt2ImgRequest(prompt=PROMPT, **KNOWN), save=False).images[0]
    request = Img2ImgRequest(prompt=f"{PROMPT} <lora:a:0.5>", init_image=start, strength=1.0, **KNOWN)
    again = studio.img2img(request, save=False)
    assert again.images[0].tobytes() == merged


def test_the_numbers_shown_are_those_of_the_merged_encoder(studio):
    plain, tagged = studio.encode(PROMPT), studio.encode(f"{PROMPT} <lora:a>")
    assert plain.embeds.shape == tagged.embeds.shape
    assert (plain.embeds != tagged.embeds).any()
    near = [studio.look_up(prompt, 1).near for prompt in ("cat", "cat <lora:a:1:0>", "cat")]
    assert near[0] == near[2] != near[1]
    for words in near:  # the vocabulary is read by the same weights, too
        assert (words[0].text, words[0].cosine) == ("cat", pytest.approx(1, abs=1e-4))


def test_a_tagged_prompt_is_taken_over_as_an_expression_with_its_tag_outside(studio):
    tagged = "a (big <lora:a:0.5>:1.2) cat<lora:b:-0.3>"
    fields: dict[str, Any] = take_apart(tagged)
    assert fields["prompt"] == "{} <lora:a:0.5> <lora:b:-0.3>"
    blend = studio.blend(BlendRequest(**fields, **KNOWN), save=False)
    assert blend.images[0].tobytes() == draw(studio, tagged)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("<lora:a>", [("a", 1, 1)]),
        ("<lora:my style v2:0.8>", [("my style v2", 0.8, 0.8)]),
        ("<LoRA:sub/a:.5:.25>", [("sub/a", 0.5, 0.25)]),
        ("<lora:a:te=0.5:unet=2>", [("a", 0.5, 2)]),
        ("<lora:b:1> x <lora:a:-1>", [("a", -1, -1), ("b", 1, 1)]),
        ("<lora:> <a> <b:1>"[7:], []),
    ],
)
def test_tags_are_read(tags, found):
    assert [(tag.name, tag.text_scale, tag.unet_scale) for tag in find_tags(tags)] == found


def test_only_tags_are_taken_out():
    assert remove_tags("a <lora:x:1>cat <y> <lora x>, a < b") == "a cat <y> <lora x>, a < b"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"prompt": "a <lora:x:nan>"},
            "prompt must scale a LoRA by a number from -10 to 10, got <lora:x:nan>",
        ),
        ({"prompt": "a <lora:x:1e9>"}, "from -10 to 10"),
        ({"prompt": "a <lora:x:inf>"}, "from -10 to 10"),
        ({"prompt": "a <lora:x:much>"}, "from -10 to 10"),
        ({"prompt": "a <lora:x:6><lora:x:6>"}, "by -10 to 10 in all, got 12 for x"),
        ({"prompt": "a <lora:x:0:-6><lora:x:0:-6>"}, "by -10 to 10 in all, got -12 for x"),
        ({"prompt": "a <lora::1>"}, "prompt must name the LoRA"),
        ({"prompt": "a <lora:x:1:2:3>"}, "at most two numbers"),
        ({"prompt": "a <lora:x:lbw=ALL>"}, "at most two numbers"),
        ({"prompt": "a {cat <lora:x:1>}"}, "must not have a LoRA in braces"),
        ({"prompt": 'a {"cat <lora:x:1>" + dog}'}, "must not have a LoRA in braces"),
        ({"prompt": "a", "negative_prompt": "b <lora:x:1>"}, "negative_prompt must not hold a LoRA"),
    ],
)
def test_a_tag_that_cannot_be_is_refused_before_anything_is_loaded(fields, words):
    with pytest.raises(ValueError, match=words):
        Txt2ImgRequest(**fields)
