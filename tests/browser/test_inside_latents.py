"""Latents, a poke, the VAE's loss, a start and a kept area on the page, checked against the recording."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from sd_app import InpaintRequest
from sd_app.inside.from_picture import starts_at
from sd_app.inside.latents import move_cell
from sd_app.inside.look import Look
from sd_app.inside.poke import poke
from sd_app.inside.start_actions import blend_pictures, known_blends
from sd_app.inside.vae_loss import vae_loss
from sd_app.inside.vae_panel import losses_of
from sd_app.pictures.charts import heat_map
from tests.browser.conftest import DESKS, PATIENCE
from tests.browser.steps import choose
from tests.browser.test_inside import look_of, opened, pixels
from tests.photos import take_photo
from tests.test_denoise import MASK, PICTURE

PROMPT = "a violet dog under a tree"
REQUEST = InpaintRequest(
    prompt=PROMPT,
    init_image=PICTURE,
    mask_image=MASK,
    seed=3,
    strength=0.9,
    num_inference_steps=6,
    guidance_scale=5.0,
    scheduler="Euler",
)
CELLS = (9, 8)  # rows and columns of its latents
CANVAS = "c => [c.width, c.height, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]"


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page on which a recorded inpainting is open, for all tests of this file."""
    studio: Any = DESKS[address].studio
    studio.record(REQUEST)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_selector(".result")
    page.wait_for_function("document.querySelector('#model-picker input')?.value === 'model-a'")
    page.locator("#tab-inside-button").click()
    page.locator(".inside-kept button").filter(has_text=PROMPT).first.click()
    expect(page.locator(".inside-words")).to_have_text(PROMPT)
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def look(page: Page) -> Look:
    found: Look = look_of(page)
    return found


def click_cell(place: Locator, row: int, column: int) -> None:
    box = place.bounding_box()
    assert box
    rows, columns = CELLS
    place.click(
        position={"x": (column + 0.5) / columns * box["width"], "y": (row + 0.5) / rows * box["height"]}
    )


def said(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def test_a_latent_cell_is_chosen_and_moved_through_the_decoder(page: Page, look: Look) -> None:
    final = look.recording.final
    section = opened(page, "latents")
    expect(section).to_contain_text(
        "64 × 72 × 3 = 13,824 numbers, its latents 4 × 9 × 8 = 288: 48 times fewer"
    )
    tile = section.locator("figure[data-channel='2']")
    click_cell(tile.locator(".cells"), 4, 6)
    number = float(final[2, 4, 6])
    expect(section.locator(".latents-mover b")).to_have_text(f"Row 5, column 7, channel 3: {said(number)} →")
    width, height, values = tile.locator("canvas").evaluate(CANVAS)
    shown = np.array(values, np.uint8).reshape(height, width, 4)[..., :3]
    expected = heat_map(final[2].float().numpy(), limit=float(final.abs().max()))
    assert np.abs(shown.astype(int) - np.asarray(expected)).max() <= 1

    slider = section.get_by_label("New value of the number")
    slider.fill(slider.get_attribute("max") or "")
    words = section.locator(".latents-said")
    expect(words).to_be_visible()
    value = float(slider.input_value())
    [moved] = move_cell(look, final, row=4, column=6, values=[(2, value)])
    expect(words).to_have_text(moved.sentence)
    figures = section.locator(".figure-frame img")
    expect(figures).to_have_count(3)
    for figure, picture in zip(figures.all(), (moved.picture_before, moved.picture_after), strict=False):
        assert (pixels(figure) == np.asarray(picture)).all()
    assert section.locator(".figure-box.cell").evaluate("b => [b.style.left, b.style.top]") == [
        "75%",
        "44.4444%",
    ]

    # The scrubber shows another step's latents, and the move is put away.
    page.locator(".clock-range").fill("1")
    x0 = look.recording.x0(1)
    assert x0 is not None
    expect(section.locator(".latents-mover b")).to_contain_text(f": {said(float(x0[2, 4, 6]))} →")
    expect(words).to_be_hidden()
    section.get_by_role("button", name="The noisy x_t").click()
    noisy = look.recording.unscaled(1)
    expect(section.locator(".latents-mover b")).to_contain_text(f": {said(float(noisy[2, 4, 6]))} →")


def test_a_cell_is_poked_at_the_clocks_step(page: Page, look: Look) -> None:
    section = opened(page, "poke")
    page.locator(".clock-range").fill("2")
    click_cell(section.locator(".cells"), 3, 3)
    section.get_by_label("spreads").fill("5")
    section.get_by_role("button", name="Poke at step 3 of 5").click()
    result = section.locator(".poke-result[data-step='3']")
    expect(result).to_be_visible()
    poked = poke(look, call=2, row=3, column=3, amount=5.0)
    expect(result.locator(".look-said")).to_have_text(poked.sentence)
    after = result.get_by_role("img", name="poked at step 3")
    assert (pixels(after) == np.asarray(poked.recording.decoded)).all()


def test_what_the_vae_loses_is_measured_and_a_place_says_its_error(page: Page, look: Look) -> None:
    section = opened(page, "vae")
    loss = losses_of(look)["start"]
    meters = section.locator(".loss-meters dd")
    expect(meters).to_have_text(
        [f"{loss.psnr:.1f} dB", f"{loss.ssim:.3f}", f"{loss.largest} of 255"], use_inner_text=True
    )
    click_cell(section.locator(".loss-maps .cells").last, 2, 5)
    expect(section.locator(".loss-place")).to_contain_text(
        f"Row 3, column 6: error {loss.cells[2, 5]:.2f} of 255"
    )
    back = section.get_by_role("img", name="there and back")
    assert (pixels(back) == np.asarray(loss.back)).all()
    section.get_by_role("button", name="The finished picture").click()
    expect(meters.first).to_have_text(f"{losses_of(look)['finished'].psnr:.1f} dB")


def test_another_strengths_start_is_shown(page: Page, look: Look) -> None:
    section = opened(page, "start")
    expect(section.locator(".start-one")).to_have_count(3)  # its own is one of the three
    expect(section.locator("[data-strength='0.9'] h4")).to_contain_text("this picture's own")
    section.get_by_label("Another strength").fill("0.5")
    section.get_by_role("button", name="Show this strength").click()
    [start], _ = starts_at(look, [0.5])
    shown = section.locator("[data-strength='0.5']")
    expect(shown.locator(".look-said")).to_have_text(start.sentence)
    [expected] = look.decode(torch.stack([start.unscaled]))
    near = pixels(shown.get_by_role("img", name="x_t at the start")).astype(int) - np.asarray(expected)
    assert np.abs(near).max() <= 1


def test_the_blend_is_that_of_the_clocks_step(page: Page, look: Look) -> None:
    section = opened(page, "putback")
    blends = known_blends(look)
    for step in (1, 3):
        page.locator(".clock-range").fill(str(step))
        expect(section.locator(f".look-box[data-call='{step}']")).to_be_visible()
        expect(section).to_contain_text(f"After step {step + 1} of 5")
        kept = int((~blends.joined[step]).sum())
        expect(section).to_contain_text(f"{kept} of 72 cells are kept")
        drawn = blend_pictures(look, blends, step)
        for name, words in (("made", "as the sampler made it"), ("joined", "what the next step reads")):
            near = pixels(section.get_by_role("img", name=words)).astype(int) - np.asarray(drawn[name])
            assert np.abs(near).max() <= 1


def test_a_photo_without_parameters_shows_what_the_vae_loses(page: Page, look: Look, tmp_path: Path) -> None:
    path = take_photo(tmp_path / "holiday.jpg", 120, 90)
    choose(page.locator("#tab-inside"), "Open picture", path)
    expect(page.locator(".inside-sentence")).to_contain_text("holiday.jpg holds no parameters")
    section = opened(page, "vae")
    loss = vae_loss(look.manager, Image.open(path))
    expect(section.locator(".loss-meters dd").first).to_have_text(f"{loss.psnr:.1f} dB")
    expect(section).to_contain_text("Its middle of 120x88 pixels was taken")
