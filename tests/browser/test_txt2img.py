"""The tab "Text to image", as a person uses it."""

import base64
from pathlib import Path

from PIL import Image, PngImagePlugin
from playwright.sync_api import Locator, Page, expect

from sd_app.metadata import read_infotext
from tests.browser.steps import fill_in

DONE = ".result[data-phase=done]"
RUNNING = ".result[data-phase=running]"


def prompt(page: Page) -> Locator:
    return page.get_by_label("Prompt", exact=True)


def number(page: Page, label: str) -> Locator:
    return page.get_by_role("spinbutton", name=label)


def seed_field(page: Page) -> Locator:
    return page.get_by_role("tabpanel").get_by_role("textbox", name="Seed")


def generate(page: Page, text: str = "a red cat") -> None:
    prompt(page).fill(text)
    page.get_by_role("button", name="Generate").click()


def seed_shown(page: Page) -> str:
    return page.locator(".result-seed").inner_text().removeprefix("Seed ")


def test_generate_watch_stop_and_generate_again(page: Page) -> None:
    number(page, "Pictures").fill("60")
    number(page, "Steps").fill("20")
    prompt(page).fill("a red cat on the beach")
    prompt(page).press("Control+Enter")
    page.wait_for_selector(RUNNING)
    picture = page.locator(".result-picture")
    page.wait_for_function("document.querySelector('.result-picture').src.startsWith('data:')")
    first = picture.get_attribute("src")
    assert first
    page.wait_for_function("(old) => document.querySelector('.result-picture').src !== old", arg=first)
    expect(page.locator(".result-detail")).to_contain_text("it/s")
    expect(page.locator(".result-detail")).to_contain_text("left")
    page.wait_for_selector(".result-strip img")  # a picture of the batch is finished
    page.keyboard.press("Escape")
    page.wait_for_selector(".result[data-phase=stopped]")
    kept = page.locator(".result-strip button").count()
    assert 2 <= kept < 60
    expect(page.locator(".result-summary")).to_contain_text(f"Stopped. {kept} pictures of 60 finished")

    number(page, "Pictures").fill("1")
    number(page, "Steps").fill("2")
    page.get_by_role("button", name="Generate").click()
    page.wait_for_selector(DONE)
    expect(page.locator(".result-summary")).to_contain_text("1 picture in")


def test_a_double_click_makes_one_picture(page: Page, outputs_dir: Path) -> None:
    before = len(list(outputs_dir.rglob("*.png")))
    number(page, "Steps").fill("50")
    prompt(page).fill("a red cat")
    page.get_by_role("button", name="Generate").dblclick()
    page.wait_for_selector(DONE)
    page.wait_for_timeout(1500)  # long enough for a second job to have begun
    assert page.locator(RUNNING).count() == 0
    assert len(list(outputs_dir.rglob("*.png"))) == before + 1


def test_the_download_is_the_saved_file(page: Page, outputs_dir: Path) -> None:
    generate(page)
    page.wait_for_selector(DONE)
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download").click()
    name = waiting.value.suggested_filename
    (saved,) = outputs_dir.rglob(name)
    assert Path(waiting.value.path()).read_bytes() == saved.read_bytes()
    assert name.endswith(f"-{seed_shown(page)}.png")
    shown = page.locator(".result-infotext pre").text_content()
    assert shown == read_infotext(saved)
    # The picture in the page is that file too, enlarged by a whole factor and not smoothed.
    box = page.locator(".result-picture").bounding_box()
    assert box
    assert box["width"] >= 256
    assert box["width"] % 64 == 0
    assert page.locator(".result-picture").evaluate("i => getComputedStyle(i).imageRendering") == "pixelated"
    expect(page.locator(".result-note")).to_contain_text("model-a makes 64 × 64 pictures")


def test_a_reload_brings_back_the_controls_and_the_pictures(page: Page) -> None:
    number(page, "Pictures").fill("2")
    number(page, "Steps").fill("3")
    generate(page, "a blue dog, (big:1.2)")
    page.wait_for_selector(DONE)
    seed = seed_shown(page)
    page.reload()
    page.wait_for_selector(DONE)
    expect(page.locator("#badge")).not_to_contain_text("Starting", timeout=2000)  # before its next tick
    expect(prompt(page)).to_have_value("a blue dog, (big:1.2)")
    expect(number(page, "Steps")).to_have_value("3")
    assert seed_shown(page) == seed
    assert page.locator(".result-strip button").count() == 2
    assert page.evaluate("document.querySelector('.result-picture').naturalWidth") == 64


def test_what_makes_it_faster_is_saved_and_reused(page: Page, outputs_dir: Path) -> None:
    before = set(outputs_dir.rglob("*.png"))
    page.get_by_role("button", name="Faster, changes the picture").click()
    fill_in(number(page, "Guidance until"), "0.5")
    number(page, "Deep blocks every").fill("3")
    number(page, "Steps").fill("4")
    generate(page)
    page.wait_for_selector(DONE)
    (path,) = set(outputs_dir.rglob("*.png")) - before
    assert "Guidance end: 0.5, DeepCache interval: 3" in (read_infotext(path) or "")
    number(page, "Guidance until").fill("1")
    number(page, "Deep blocks every").fill("1")
    page.get_by_role("button", name="Reuse parameters").click()
    expect(number(page, "Guidance until")).to_have_value("0.5")
    expect(number(page, "Deep blocks every")).to_have_value("3")


def test_reuse_and_seed_buttons_fill_the_form(page: Page) -> None:
    number(page, "Pictures").fill("2")
    generate(page, "a green boat")
    page.wait_for_selector(DONE)
    first = int(seed_shown(page))
    page.locator(".result-strip button").nth(1).click()
    assert int(seed_shown(page)) == first + 1
    page.get_by_role("button", name="Use this seed").click()
    expect(seed_field(page)).to_have_value(str(first + 1))
    page.get_by_role("button", name="Random").click()
    expect(seed_field(page)).to_have_value("-1")
    prompt(page).fill("something else")
    page.get_by_role("button", name="Reuse parameters").click()
    expect(prompt(page)).to_have_value("a green boat")
    expect(seed_field(page)).to_have_value(str(first + 1))
    expect(number(page, "Pictures")).to_have_value("1")


def test_a_dropped_a1111_picture_fills_the_form(page: Page, tmp_path: Path) -> None:
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text(
        "parameters",
        "a (big:1.3) star\nNegative prompt: blurry\nSteps: 4, Sampler: Euler a, CFG scale: 6.5, "
        "Seed: 12345, Size: 128x64, Model hash: 6ce0161689, Model: somebody-elses, Version: v1.10.1",
    )
    Image.new("RGB", (8, 8)).save(tmp_path / "theirs.png", pnginfo=chunk)
    page.locator(".drop-picture input[type=file]").set_input_files(tmp_path / "theirs.png")
    expect(prompt(page)).to_have_value("a (big:1.3) star")
    expect(page.get_by_label("Negative prompt")).to_have_value("blurry")
    expect(seed_field(page)).to_have_value("12345")
    expect(number(page, "Width")).to_have_value("128")
    expect(number(page, "Height")).to_have_value("64")
    expect(page.get_by_label("Sampler")).to_have_value("Euler a")
    expect(page.get_by_text("somebody-elses is not here")).to_be_visible()
    page.get_by_role("button", name="Generate").click()
    page.wait_for_selector(DONE)
    assert seed_shown(page) == "12345"


def test_our_picture_dropped_anywhere_fills_the_form(page: Page, outputs_dir: Path) -> None:
    generate(page, "a yellow star")
    page.wait_for_selector(DONE)
    (saved,) = outputs_dir.rglob(f"*-{seed_shown(page)}.png")
    prompt(page).fill("")
    page.evaluate(
        """(base64) => {
            const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], "ours.png", { type: "image/png" }));
            for (const name of ["dragover", "drop"]) {
                const event = new DragEvent(name, { dataTransfer, bubbles: true, cancelable: true });
                document.querySelector(".result").dispatchEvent(event);
            }
        }""",
        base64.b64encode(saved.read_bytes()).decode(),
    )
    expect(prompt(page)).to_have_value("a yellow star")
    expect(seed_field(page)).to_have_value(saved.stem.split("-")[1])


def test_a_bad_value_shows_its_error_and_the_next_job_runs(page: Page) -> None:
    generate(page)
    page.wait_for_selector(DONE)
    seed = seed_shown(page)
    number(page, "Width").fill("513")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("alert").filter(has_text="Width")).to_have_text(
        "Width must be a multiple of 8, got 513 (try 512 or 520)."
    )
    assert seed_shown(page) == seed  # the last picture is still there
    number(page, "Width").fill("64")
    page.get_by_role("button", name="Generate").click()
    page.wait_for_selector(DONE)
    expect(page.locator(".result-message")).to_be_hidden()
    assert seed_shown(page) != seed


def test_keys_weigh_words_and_the_token_line_follows(page: Page) -> None:
    area = prompt(page)
    area.fill("a red cat")
    expect(page.locator(".token-line").first).to_contain_text("3 / 75 tokens")
    area.press("Control+End")
    area.press("Control+ArrowUp")
    expect(area).to_have_value("a red (cat:1.1)")
    area.press("Control+ArrowUp")
    expect(area).to_have_value("a red (cat:1.2)")
    area.press("Control+ArrowDown")
    area.press("Control+ArrowDown")
    expect(area).to_have_value("a red cat")
    area.select_text()
    area.press("Control+ArrowDown")
    expect(area).to_have_value("(a red cat:0.9)")
    area.fill("cat " * 74 + "zebra crossing the road")
    expect(page.locator(".token-line").first).to_contain_text("78 tokens in 2 chunks: 75 / 75, 3 / 75")
    expect(page.locator(".token-line").first).to_contain_text("begins with “crossing the road”")


def test_choosing_a_model_sets_what_it_likes(page: Page) -> None:
    number(page, "Width").fill("128")
    number(page, "Steps").fill("9")
    page.get_by_label("Model").click()
    page.get_by_role("option", name="model-b").click()
    expect(number(page, "Width")).to_have_value("64")
    expect(number(page, "Steps")).to_have_value("4")
    generate(page)
    page.wait_for_selector(DONE)
    expect(page.locator(".result-infotext pre")).to_contain_text("Model: model-b")


def test_on_a_phone_the_result_is_below_and_nothing_sticks_out(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    # Both boxes at one moment: the page may still be filling its controls.
    ask, get = page.evaluate(
        "['.ask', '.get'].map(s => document.querySelector(s).getBoundingClientRect().toJSON())"
    )
    assert get["top"] >= ask["bottom"]
    assert ask["width"] == get["width"] == 390
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    generate(page)
    page.wait_for_selector(DONE)
    expect(page.locator(".result-picture")).to_be_in_viewport()


def test_the_menu_of_schedule_types_follows_the_sampler_and_a_large_seed_stays_whole(page: Page) -> None:
    schedule = page.get_by_label("Schedule type")
    page.get_by_label("Sampler").click()
    page.get_by_role("option", name="LCM", exact=True).click()
    expect(schedule).to_have_value("Uniform")
    schedule.click()
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Escape")
    seed_field(page).fill(str(2**63 - 1))
    generate(page)
    expect(page.locator(".result-infotext pre")).to_contain_text(f"Seed: {2**63 - 1}", timeout=60_000)
    page.get_by_role("button", name="Random").click()
    expect(seed_field(page)).to_have_value("-1")
    page.get_by_role("button", name="Reuse", exact=True).click()
    expect(seed_field(page)).to_have_value(str(2**63 - 1))
