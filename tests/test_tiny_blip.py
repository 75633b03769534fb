"""The embedded captioner's committed weights, by our loader and by plain transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, BlipForConditionalGeneration, BlipProcessor

from sd_app.interrogator.captioner import Captioner, load_captioner
from sd_app.interrogator.models import EMBEDDED_CAPTIONER
from sd_app.tiny import drawing, world
from sd_app.tiny.caption_reader import read_caption

EMBEDDED = Path(__file__).parents[1] / "models" / EMBEDDED_CAPTIONER


@pytest.fixture(scope="module")
def embedded() -> Captioner:
    return load_captioner(EMBEDDED, "cpu", torch.float32)


def test_the_embedded_captioner_names_subject_and_color_of_pictures_it_never_saw(embedded):
    rng = np.random.default_rng(31)
    scenes = [world.random_scene(rng, held_out=True) for _ in range(60)]
    seen = [read_caption(embedded.caption(drawing.render(scene, rng))) for scene in scenes]
    for name, floor in {"subject": 57, "color": 59, "background": 59, "style": 57}.items():
        hits = sum(getattr(a, name) == getattr(b, name) for a, b in zip(scenes, seen, strict=True))
        assert hits >= floor, (name, hits)


def test_a_caption_is_one_plain_sentence_that_states_all_six(embedded):
    rng = np.random.default_rng(32)
    scene = world.Scene(subject="house", color="red", background="snow", size="large")
    text = embedded.caption(drawing.render(scene, rng))
    assert text == world.plain_caption(scene) == "a large red house in the middle in the snow, flat style"


def test_a_caption_can_be_begun(embedded):
    rng = np.random.default_rng(33)
    scene = world.Scene(subject="boat", color="green", background="sunset", style="pixel art")
    text = embedded.caption(drawing.render(scene, rng), beginning="an 8-bit pixel art of")
    assert text.startswith("an 8-bit pixel art of")
    assert read_caption(text).subject == "boat"
    with pytest.raises(ValueError, match="beginning must be shorter for tiny-blip"):
        embedded.caption(drawing.render(scene, rng), beginning="a cat " * 40)


def test_plain_transformers_reads_the_embedded_captioner_and_says_the_same(embedded):
    model = BlipForConditionalGeneration.from_pretrained(EMBEDDED, local_files_only=True)
    processor = AutoProcessor.from_pretrained(EMBEDDED, local_files_only=True)
    assert isinstance(processor, BlipProcessor)
    assert model.dtype == torch.float16
    scene = world.Scene(subject="star", color="yellow", background="night sky")
    image = drawing.render(scene, np.random.default_rng(34))
    inputs = processor(images=image, return_tensors="pt")
    tokens = model.float().generate(**inputs)
    assert processor.decode(tokens[0], skip_special_tokens=True) == embedded.caption(image)


def test_the_embedded_tokenizer_can_write_any_text(embedded):
    tokenizer = embedded.processor.tokenizer
    assert tokenizer.convert_tokens_to_ids("[DEC]") == embedded.model.config.text_config.bos_token_id
    assert "[DEC]" in tokenizer.all_special_tokens
    assert len(tokenizer) == embedded.model.config.text_config.vocab_size
    ids = tokenizer("A zebra, on the beach").input_ids
    pieces = ["[CLS]", "a", "z", "##e", "##b", "##r", "##a", ",", "on", "the", "beach", "[SEP]"]
    assert tokenizer.convert_ids_to_tokens(ids) == pieces
    assert tokenizer.decode(ids, skip_special_tokens=True) == "a zebra, on the beach"


def test_the_embedded_captioner_is_small():
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) < 3e6
