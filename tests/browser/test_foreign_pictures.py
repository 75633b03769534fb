"""Parameters of another program, dropped as a picture or pasted as text, as a person sees it."""

from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.foreign_forms import png_with

TEXT = (
    "an {orange|red} cat <hypernet:anime:0.7>\nNegative prompt: blurry\nSteps: 4, Sampler: k_euler_a, CFG"
    " scale: 99, Seed: 12345, Size: 130x64, Hires upscale: 2, <b>bold</b>: 1, Version: v1.10.1"
)
TOLD = (
    "Not taken: CFG scale: 99 (must be a number from 0 to 30).",
    "Not taken: Hires upscale: 2, <b>bold</b>: 1 (no such field here).",
    "The tag <hypernet:anime:0.7> is not read here.",
    "Braces in its prompt are read as plain text.",
    "Width 130 became 128, the nearest multiple of 8.",
)


def field(page: Page, label: str) -> Locator:
    return page.locator("#tab-txt2img").get_by_label(label, exact=True).first


def check_form(page: Page) -> None:
    expect(field(page, "Prompt")).to_have_value("an \\{orange|red} cat")
    expect(field(page, "Negative prompt")).to_have_value("blurry")
    expect(page.get_by_label("Sampler")).to_have_value("Euler a")
    expect(page.get_by_role("textbox", name="Seed")).to_have_value("12345")
    expect(page.get_by_role("spinbutton", name="Width")).to_have_value("128")


def notice(page: Page) -> Locator:
    return page.locator("#tab-txt2img .notice")


def test_a_dropped_foreign_picture_fills_the_form_and_names_what_was_not_taken(
    page: Page, tmp_path: Path
) -> None:
    field(page, "Prompt").fill("held before")
    (tmp_path / "theirs.png").write_bytes(png_with({"parameters": TEXT}, "behind"))
    page.locator(".drop-picture input[type=file]").first.set_input_files(tmp_path / "theirs.png")
    check_form(page)
    expect(notice(page)).to_contain_text("The form holds what it can of that picture's parameters.")
    for told in TOLD:
        expect(notice(page)).to_contain_text(told)
    expect(notice(page)).to_be_in_viewport()
    notice(page).get_by_role("button", name="Undo").click()
    expect(field(page, "Prompt")).to_have_value("held before")

    (tmp_path / "bomb.png").write_bytes(png_with({"parameters": '{"<img src=http://elsewhere/x>": 1}'}))
    page.locator(".drop-picture input[type=file]").first.set_input_files(tmp_path / "bomb.png")
    expect(page.get_by_text("does not know (it holds <img src=http://elsewhere/x>)")).to_be_visible()
    expect(field(page, "Prompt")).to_have_value("held before")


def test_pasted_parameters_fill_the_form_and_words_are_pasted_as_words(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for text in ("a plain cat", TEXT):
        page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
        field(page, "Prompt").focus()
        field(page, "Prompt").press("Control+v")
        if text != TEXT:
            expect(field(page, "Prompt")).to_have_value("a plain cat")
    check_form(page)
    expect(notice(page)).to_contain_text("The form holds what it can of the pasted parameters.")
    for told in TOLD:
        expect(notice(page)).to_contain_text(told)
    notice(page).get_by_role("button", name="Undo").click()
    expect(field(page, "Prompt")).to_have_value("a plain cat")


def test_a_notice_of_many_settings_leaves_the_prompt_in_sight(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    many = ", ".join(f"ADetailer setting {number}: some longer value" for number in range(40))
    page.evaluate("(text) => navigator.clipboard.writeText(text)", f"{TEXT}, {many}")
    field(page, "Prompt").focus()
    field(page, "Prompt").press("Control+v")
    expect(notice(page)).to_contain_text("ADetailer setting 39")
    expect(field(page, "Prompt")).to_be_in_viewport()
    box = notice(page).bounding_box()
    assert box
    assert box["height"] < 844 / 3
