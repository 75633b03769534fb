"""What joins a checkpoint, picked on the page: one journey for each kind."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from diffusers import AutoencoderTiny
from playwright.sync_api import Browser, Locator, Page, expect
from torch import Tensor

from sd_app import Settings, Studio
from sd_app.metadata import parse_infotext, read_infotext
from tests.addons.lora_writers import kohya, lora_layers, write_lora
from tests.browser.conftest import served
from tests.browser.steps import done


@pytest.fixture(scope="module")
def models_dir(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model-a, and a file of each kind that fits it."""
    folder = tmp_path_factory.mktemp("models")
    os.symlink(random_models / "model-a", folder / "model-a")  # noqa: PTH211
    studio = Studio(Settings(models_dir=folder, model="model-a"))
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        layers = kohya(lora_layers(pipe.components, 1))
        encoder = pipe.text_encoder.get_input_embeddings().weight.detach()
    write_lora(folder / "embeddings/blur.safetensors", {"emb_params": encoder[[320, 2368]].clone()})
    shutil.copytree(random_models / "model-b/vae", folder / "vae/other")
    metadata = {"modelspec.trigger_phrase": "in loud colours"}
    write_lora(folder / "loras/loud.safetensors", layers, metadata)
    write_lora(folder / "taesd/taesd_decoder.safetensors", red_decoder())
    (folder / "loras/broken.safetensors").write_bytes(b"nothing")
    return folder


def red_decoder() -> dict[str, Tensor]:
    """Return a TAESD decoder that draws red whatever it is given, under the original names."""
    found = {}
    for name, tensor in AutoencoderTiny().decoder.state_dict().items():
        _, number, rest = name.split(".", 2)
        found[f"{int(number) + 1}.{rest}"] = tensor * 0
    found[max(found, key=lambda name: int(name.partition(".")[0]) + name.endswith("bias"))][0] = 1
    return found


@pytest.fixture(scope="module")
def address(
    models_dir: Path, outputs_dir: Path, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[str]:
    settings = Settings(
        models_dir=models_dir,
        outputs_dir=outputs_dir,
        cache_dir=tmp_path_factory.mktemp("cache"),
        model="model-a",
    )
    with served(settings) as url:
        yield url


def generate(tab: Locator, outputs_dir: Path) -> tuple[str, bytes]:
    """Press Generate; return the infotext and the bytes of the new picture's pixels."""
    from PIL import Image

    before = set(outputs_dir.rglob("*.png"))
    tab.get_by_role("button", name="Generate").click()
    for _ in range(600):
        if new := set(outputs_dir.rglob("*.png")) - before:
            break
        tab.page.wait_for_timeout(100)
    expect(done(tab)).to_be_visible()
    (path,) = new
    return read_infotext(path) or "", Image.open(path).tobytes()


def choose(tab: Locator, label: str, option: str) -> None:
    """Choose from a menu."""
    menu = tab.get_by_label(label)
    menu.click()
    tab.page.get_by_role("option", name=option, exact=True).click()


@pytest.fixture
def tab(page: Page) -> Locator:
    tab = page.locator("#tab-txt2img")
    tab.get_by_label("Seed").fill("7")
    return tab


def test_a_lora_is_picked_its_tag_counts_and_a_broken_one_says_why(tab: Locator, outputs_dir: Path) -> None:
    prompt = tab.get_by_label("Prompt", exact=True)
    prompt.fill("a cat")
    _, plain = generate(tab, outputs_dir)
    tab.locator(".addons > button").click()
    choose(tab, "Add to the prompt", "loud (LoRA)")
    expect(tab.locator(".addon-facts").first).to_contain_text("LoRA, family unknown, rank 4")
    tab.get_by_role("button", name="Insert").click()
    expect(prompt).to_have_value("a cat <lora:loud:1>")
    expect(tab.locator(".token-line").first).to_have_text("2 / 75 tokens")
    tab.locator(".addons .examples button", has_text="in loud colours").click()
    expect(prompt).to_have_value("a cat <lora:loud:1> in loud colours")
    prompt.fill("a cat <lora:loud:0.8>")
    infotext, loud = generate(tab, outputs_dir)
    assert parse_infotext(infotext).prompt == "a cat <lora:loud:0.8>"
    assert loud != plain
    choose(tab, "Add to the prompt", "broken (LoRA)")
    expect(tab.locator(".addon-facts").first).to_contain_text("LoRA that cannot be used: it is cut off")
    prompt.fill("a cat <lora:broken>")
    tab.get_by_role("button", name="Generate").click()
    expect(tab.locator(".result-message")).to_contain_text("broken cannot: it is cut off")
    prompt.fill("a cat")
    assert generate(tab, outputs_dir)[1] == plain


def test_a_learned_word_is_picked_counted_and_shown_as_such(tab: Locator, outputs_dir: Path) -> None:
    prompt, negative = (tab.get_by_label(label, exact=True) for label in ("Prompt", "Negative prompt"))
    prompt.fill("a cat")
    tab.locator(".addons > button").click()
    choose(tab, "Add to the prompt", "blur (learned word)")
    expect(tab.locator(".addon-facts").first).to_contain_text("Learned word, family unknown, 2 vectors")
    tab.get_by_role("button", name="Insert").click()
    expect(prompt).to_have_value("a cat <blur>")
    expect(tab.locator(".token-line").first).to_have_text("4 / 75 tokens")
    tab.get_by_role("button", name="Into negative").click()
    expect(negative).to_have_value("<blur>")
    infotext, _ = generate(tab, outputs_dir)
    assert parse_infotext(infotext).negative_prompt == "<blur>"
    tab.page.get_by_role("tab", name="Embeddings").click()
    other = tab.page.locator("#tab-embeddings")
    other.get_by_label("Prompt", exact=True).fill("a <blur>")
    rows = other.locator("tr[data-row]")
    expect(rows).to_have_count(77)
    words = [rows.nth(k).locator(".tokens-word > span").inner_text() for k in range(5)]
    assert words == ["start token", "a", "blur 1", "blur 2", "end token"]
    expect(rows.nth(2).locator(".tokens-mark")).to_have_text("learned")
    other.get_by_label("Prompt", exact=True).fill("a <stranger>")
    expect(rows.nth(3).locator(".tokens-word > span")).to_have_text("stranger")


def test_another_vae_is_chosen_and_reuse_brings_back_which(tab: Locator, outputs_dir: Path) -> None:
    tab.get_by_label("Prompt", exact=True).fill("a cat")
    _, plain = generate(tab, outputs_dir)
    tab.get_by_role("button", name="Advanced").click()
    choose(tab, "VAE", "other")
    infotext, other = generate(tab, outputs_dir)
    assert parse_infotext(infotext).fields["VAE"] == "other"
    assert other != plain
    choose(tab, "VAE", "The model's own")
    tab.locator(".result").get_by_role("button", name="Reuse parameters").click()
    expect(tab.get_by_label("VAE")).to_have_value("other")
    tab.page.reload()
    expect(tab.get_by_label("Prompt", exact=True)).to_have_value("a cat")  # the form is filled again
    tab.get_by_role("button", name="Advanced").click()
    expect(tab.get_by_label("VAE")).to_have_value("other")
    choose(tab, "VAE", "The model's own")
    assert generate(tab, outputs_dir)[1] == plain


MEAN_COLOR_JS = """() => {
  const result = document.querySelector("#tab-txt2img .result");
  const picture = result.querySelector(".result-picture");
  if (result.dataset.shows !== "preview" || !picture.complete || !picture.naturalWidth) return null;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  canvas.getContext("2d").drawImage(picture, 0, 0, 1, 1);
  return [...canvas.getContext("2d").getImageData(0, 0, 1, 1).data];
}"""


def test_the_preview_is_taesds_while_the_picture_is_made(tab: Locator) -> None:
    tab.get_by_label("Prompt", exact=True).fill("a cat")
    tab.get_by_label("Steps").first.fill("900")
    tab.get_by_role("button", name="Generate").click()
    color = tab.page.wait_for_function(MEAN_COLOR_JS, polling=10).json_value()
    assert color[0] > 240
    assert max(color[1:3]) < 15
    tab.page.keyboard.press("Escape")
    expect(tab.locator(".result[data-phase=stopped]")).to_be_visible()
