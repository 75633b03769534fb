"""The tab "Inpaint", as a person uses it."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from sd_app.images import open_image
from tests.browser.steps import choose, done, drawn, fill_in, generate, open_picture, painted, stroke
from tests.photos import take_photo


@pytest.fixture
def tab(page: Page) -> Locator:
    page.get_by_role("tab", name="Inpaint").click()
    return page.locator("#tab-inpaint")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A noisy picture of odd size, so that no pixel is right by chance."""
    pixels = np.random.default_rng(1).integers(0, 256, (83, 101, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def newest(outputs_dir: Path, before: set[Path]) -> list[Path]:
    return sorted(set(outputs_dir.rglob("*.png")) - before)


def shown_pixels(tab: Locator) -> NDArray[np.uint8]:
    url = tab.locator(".result-picture").get_attribute("src")
    assert url
    return np.asarray(Image.open(io.BytesIO(tab.page.request.get(url).body())).convert("RGB"))


def test_what_is_outside_the_stroke_stays_to_the_pixel(tab: Locator, photo: Path, outputs_dir: Path) -> None:
    before = set(outputs_dir.rglob("*.png"))
    open_picture(tab, photo)
    expect(drawn(tab)).to_be_visible()
    expect(tab.locator(".canvas-legend")).to_contain_text("white is redrawn")
    stroke(tab, (0.3, 0.4), (0.6, 0.5), (0.4, 0.7))
    mask = painted(tab) >= 128
    assert 0.02 < mask.mean() < 0.6
    generate(tab)
    expect(done(tab)).to_be_visible()

    saved = newest(outputs_dir, before)
    assert [path.stem.split("-")[2:] for path in saved] == [["raw"], ["roundtrip"], []]
    raw, _, result = (np.asarray(Image.open(path)) for path in saved)
    original = np.asarray(Image.open(photo))
    assert (result[~mask] == original[~mask]).all()
    assert (result[mask] == raw[mask]).all()
    assert (raw[~mask] != original[~mask]).any()

    # The page shows the three, the input, the drift; and the report says so in numbers.
    assert (shown_pixels(tab) == result).all()
    views = tab.locator(".result-views")
    for label, pixels in (("Raw", raw), ("Input", original)):
        views.get_by_role("button", name=label, exact=True).click()
        assert (shown_pixels(tab) == pixels).all()
    with tab.page.expect_download() as waiting:
        tab.get_by_role("link", name="Download").click()
    assert waiting.value.suggested_filename == f"{saved[-1].stem}-input.png"
    scale = tab.locator(".result-scale")
    expect(scale).to_be_hidden()
    views.get_by_role("button", name="Drift of result").click()
    expect(scale).to_have_text("Change of a kept pixel, of 255: 012481632 and moreredrawn")
    assert (shown_pixels(tab)[~mask] == shown_pixels(tab)[~mask][0]).all()  # all black: nothing moved
    kept = tab.locator(".result-kept tbody tr").nth(1).locator("td")
    assert kept.all_inner_texts() == ["0.00", "0", "0.0 %"]
    expect(tab.locator(".result-cause")).to_contain_text("yours, to the byte")

    views.get_by_role("button", name="Result", exact=True).click()
    expect(scale).to_be_hidden()
    views.get_by_role("button", name="Before / after").click()
    divide = tab.get_by_role("slider", name="Before and after")
    divide.fill("80")
    assert "80%" in (tab.locator(".result-compare").get_attribute("style") or "")
    images = [tab.locator(".result-compare img").nth(k).bounding_box() for k in range(2)]
    assert images[0] == images[1]


def test_an_empty_mask_gives_the_picture_back_with_a_notice(
    tab: Locator, photo: Path, outputs_dir: Path
) -> None:
    before = set(outputs_dir.rglob("*.png"))
    open_picture(tab, photo)
    expect(drawn(tab)).to_be_visible()
    generate(tab)
    expect(done(tab)).to_be_visible()
    expect(tab.locator(".result-notice")).to_contain_text("nothing was repainted")
    assert (shown_pixels(tab) == np.asarray(Image.open(photo))).all()
    assert newest(outputs_dir, before) == []


def test_an_uploaded_mask_is_painted_and_one_of_another_size_is_refused(
    tab: Locator, photo: Path, tmp_path: Path
) -> None:
    open_picture(tab, photo)
    expect(drawn(tab)).to_be_visible()
    Image.new("L", (40, 40), 255).save(tmp_path / "small.png")
    choose(tab, "Open mask", tmp_path / "small.png")
    expect(tab.locator(".canvas-message")).to_contain_text("101x83, got 40x40")
    mask = Image.new("L", (101, 83))
    mask.paste(255, (20, 20, 60, 50))
    mask.save(tmp_path / "mask.png")
    choose(tab, "Open mask", tmp_path / "mask.png")
    expect(tab.locator(".canvas-message")).to_be_hidden()
    tab.page.wait_for_timeout(300)
    assert (painted(tab) == np.asarray(mask)).all()
    # A stroke goes on top of it, and Undo takes both away again.
    stroke(tab, (0.8, 0.8), (0.9, 0.9))
    assert (painted(tab) >= np.asarray(mask)).all()
    for _ in range(2):
        tab.locator("[data-do=undo]").click()
    tab.page.wait_for_timeout(300)
    assert not painted(tab).any()


def test_extending_needs_no_mask_and_keeps_the_picture(tab: Locator, photo: Path, outputs_dir: Path) -> None:
    before = set(outputs_dir.rglob("*.png"))
    open_picture(tab, photo)
    expect(drawn(tab)).to_be_visible()
    tab.get_by_role("button", name="Extend the picture").click()
    fill_in(tab.get_by_role("spinbutton", name="Left"), "16")
    fill_in(tab.get_by_role("spinbutton", name="Bottom"), "8")
    generate(tab)
    expect(done(tab)).to_be_visible()
    result = np.asarray(Image.open(newest(outputs_dir, before)[-1]))
    assert result.shape == (91, 117, 3)
    assert (result[:83, 16:] == np.asarray(Image.open(photo))).all()
    expect(tab.locator(".result-infotext pre")).to_contain_text("Denoising strength")


def test_stop_and_reload_keep_what_there_is(tab: Locator, photo: Path) -> None:
    open_picture(tab, photo)
    expect(drawn(tab)).to_be_visible()
    stroke(tab, (0.3, 0.4), (0.6, 0.5))
    tab.get_by_role("spinbutton", name="Pictures").fill("40")
    generate(tab)
    expect(tab.locator(".result-strip img").first).to_be_visible()
    tab.page.keyboard.press("Escape")
    expect(tab.locator(".result[data-phase=stopped]")).to_be_visible()
    count = tab.locator(".result-strip button").count()
    assert 2 <= count < 40
    mask = painted(tab)
    tab.page.reload()
    tab.page.get_by_role("tab", name="Inpaint").click()
    expect(tab.locator(".result-strip button")).to_have_count(count)
    tab.locator(".result-views").get_by_role("button", name="VAE round trip").click()
    assert shown_pixels(tab).shape == (83, 101, 3)
    tab.page.wait_for_timeout(300)
    assert (painted(tab) == mask).all()


def test_on_a_phone_a_finger_paints_and_nothing_sticks_out(page: Page, photo: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("tab", name="Inpaint").click()
    tab = page.locator("#tab-inpaint")
    open_picture(tab, photo)
    expect(drawn(tab)).to_be_visible()
    stroke(tab, (0.3, 0.4), (0.6, 0.5))
    generate(tab)
    expect(done(tab)).to_be_visible()
    expect(tab.locator(".result-picture")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


DROP = """async (room, [data, name]) => {
    const bytes = await (await fetch(data)).arrayBuffer();
    const files = new DataTransfer();
    files.items.add(new File([bytes], name, { type: "image/jpeg" }));
    room.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
}"""


@pytest.mark.timeout(240)
def test_a_phones_photo_comes_back_at_its_size_and_unpainted_to_the_byte(
    tab: Locator, tmp_path: Path, outputs_dir: Path
) -> None:
    """12 megapixels, held upright: dropped, painted on, repainted."""
    before = set(outputs_dir.rglob("*.png"))
    photo = take_photo(tmp_path / "IMG_0001.JPG", 4032, 3024, orientation=6)
    url = "data:image/jpeg;base64," + base64.b64encode(photo.read_bytes()).decode()
    tab.locator(".canvas-room").evaluate(DROP, [url, photo.name])
    expect(drawn(tab)).to_be_visible(timeout=30_000)
    assert tab.locator(".canvas-paint").evaluate("c => [c.width, c.height]") == [1773, 2364]
    stroke(tab, (0.3, 0.4), (0.6, 0.5))
    generate(tab)
    expect(done(tab)).to_be_visible(timeout=120_000)

    raw, _, result = (np.asarray(Image.open(path)) for path in newest(outputs_dir, before))
    original = np.asarray(open_image(photo))
    assert result.shape == original.shape == (4032, 3024, 3)
    changed = (result != original).any(axis=2)
    layer = Image.fromarray(painted_photo(tab)).resize((3024, 4032), Image.Resampling.NEAREST)
    mask = np.asarray(layer) >= 128
    assert 0.01 < mask.mean() < 0.5
    assert not changed[~mask].any()
    assert (result[mask] == raw[mask]).all()
    assert changed[mask].any()


def painted_photo(tab: Locator) -> NDArray[np.uint8]:
    """Return the opacity of what is painted, by way of a PNG: a list of its values would be too long."""
    url: str = tab.locator(".canvas-paint").evaluate("c => c.toDataURL()")
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return np.asarray(image.getchannel("A"))
