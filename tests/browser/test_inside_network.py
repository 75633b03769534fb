"""The panels of the U-Net, of where two ways part and of the encoder, as a person uses them."""

from dataclasses import replace

import numpy as np
from playwright.sync_api import Locator, Page, expect

from sd_app.inside.activations import activations
from sd_app.inside.cuts import ALL_CROSS
from sd_app.inside.film import frames
from sd_app.inside.parting import compare
from sd_app.inside.parting_files import run_other
from sd_app.inside.sheets import heat
from sd_app.inside.unet_actions import all_cuts
from sd_app.inside.unet_parts import parts_of
from tests.browser.test_inside import look_of, looked, opened, pixels, recording_of


def folded(section: Locator) -> None:
    """Close a panel again."""
    section.locator(".look-head").click()


def test_the_network_its_cuts_the_parting_and_the_layers_are_those_of_the_recording(page: Page) -> None:
    looked(page)
    look, recording = look_of(page), recording_of(page)
    the_network_is_drawn_and_a_part_shows_what_it_gives(page, look, recording)
    a_part_is_cut_out(page, look, recording)
    another_run_parts_from_this_one(page, look, recording)
    the_last_layer_is_the_picture_as_it_was(page, look, recording)


def the_network_is_drawn_and_a_part_shows_what_it_gives(page: Page, look, recording) -> None:
    section = opened(page, "unet")
    parts = parts_of(look)
    boxes = section.locator("[data-part]")
    assert boxes.evaluate_all("all => all.map(one => one.dataset.part).sort()") == sorted(parts.by_name)
    assert section.locator("path[data-skip]").count() == len(parts.skips)
    expect(section.locator(".unet-title")).to_contain_text(f"{parts.num_weights:,} weights")

    name = "up_blocks.1.resnets.0"
    page.locator(".clock-range").fill("1")
    box = section.locator(f"g[data-part='{name}']")
    box.focus()
    page.keyboard.press("Enter")
    detail = section.locator(f".unet-detail[data-part='{name}'][data-ready=true]")
    expect(detail).to_contain_text(parts.by_name[name].sentence)
    expect(box).to_have_attribute("aria-pressed", "true")
    found = activations(look, [name])[name]
    image = detail.locator("figure img").first
    for call in (1, 3):  # the clock moves it
        page.locator(".clock-range").fill(str(call))
        expect(image).to_have_attribute("data-call", str(call))
        assert (pixels(image) == np.asarray(found.picture(call))).all()
    section.locator("g[data-part='mid_block.resnets.0']").click()
    bars = section.locator(".unet-detail[data-part='mid_block.resnets.0'][data-ready=true]")
    expect(bars.locator("figure img").first).to_be_visible()
    bars.get_by_role("button", name="middle block").click()
    expect(bars.locator(".cut-view[data-cut='middle block'] img")).to_have_count(3)
    folded(section)


def a_part_is_cut_out(page: Page, look, recording) -> None:
    section = opened(page, "cuts")
    cuts = all_cuts(look)
    assert section.locator(".cut-choice").count() == len(cuts)
    assert section.locator(".cut-choice[data-named=true]").count() == 6
    row = section.locator(f".cut-choice[data-cut='{ALL_CROSS}']")
    row.click()
    view = section.locator(f".cut-view[data-cut='{ALL_CROSS}']")
    images = view.locator("img")
    expect(images).to_have_count(3)
    before, after, difference = (pixels(images.nth(number)).astype(int) for number in range(3))
    assert (before == np.asarray(recording.decoded)).all()
    apart = np.abs(after - before).max(axis=-1)
    assert apart.any()
    expect(row.locator(".cut-verdict")).to_contain_text(f"{round(100 * (apart > 25).mean())} % changed")
    assert (difference == np.asarray(heat(apart.astype(np.float32), 255.0, recording.decoded.size))).all()
    folded(section)


def another_run_parts_from_this_one(page: Page, look, recording) -> None:
    section = opened(page, "parting")
    section.get_by_label("The words of the other run").fill("a blue dog in a garden")
    section.get_by_role("button", name="Compare", exact=True).click()
    expect(section.locator(".parting-chart polyline")).to_have_count(3)
    other = run_other(look, replace(recording.request, prompt="a blue dog in a garden"))
    parting = compare(recording, other.recording)
    expect(section.locator(".parting-said")).to_have_text(parting.sentence)
    for what in parting.distances:
        key = section.locator(f".parting-curve[data-what='{what}']")
        expect(key).to_have_attribute("data-step", str(parting.step(what) or ""))
    page.locator(".clock-range").fill("2")
    tiles = {side: section.locator(f".parting-films figure[data-side={side}]") for side in "ab"}
    for side, one in (("a", look), ("b", other)):
        expect(tiles[side]).to_have_attribute("data-frame", "2")
        expect(tiles[side]).to_have_attribute("data-waiting", "false")
        assert (pixels(tiles[side].locator("img")) == np.asarray(frames(one, chosen=[2])[0])).all()
    # The recording that is open is kept, and parts from itself nowhere.
    section.get_by_role("button", name="a kept recording").click()
    section.get_by_role("button", name="Compare", exact=True).click()
    expect(section.locator(".parting-said")).to_have_text(
        "Nothing parts: both runs are the same at every step."
    )
    folded(section)


def the_last_layer_is_the_picture_as_it_was(page: Page, look, recording) -> None:
    section = opened(page, "encoder")
    section.get_by_role("button", name="Make the 3 pictures").click()
    expect(section.locator(".layer-tile[data-made=true]")).to_have_count(3)
    tiles = section.locator(".layer-tile")
    assert (pixels(tiles.nth(2).locator("img")) == np.asarray(recording.decoded)).all()
    expect(tiles.nth(2)).to_contain_text("the same to the byte")
    assert (pixels(tiles.nth(0).locator("img")) != np.asarray(recording.decoded)).any()
