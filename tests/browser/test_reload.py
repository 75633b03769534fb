"""A finished result after a reload: every view of it is there again, in every tab."""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.steps import choose, done, drawn, fill_in, generate, open_picture, stroke


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.radial_gradient("L").resize((96, 64)).convert("RGB").save(tmp_path / "given.png")
    return tmp_path / "given.png"


def opened(page: Page, address: str, place: str) -> Locator:
    page.goto(f"{address}#{place}")
    tab = page.locator(f"#tab-{place.partition('/')[0]}")
    expect(tab).to_be_visible()
    return tab


def shown(tab: Locator) -> dict[str, object]:
    """Return what a result shows: its views with their files, tables, film, plot and grid."""
    views = tab.locator(".result-views button")
    found: dict[str, object] = {"views": views.all_inner_texts()}
    for index, label in enumerate(views.all_inner_texts()):
        if label != "Before / after":
            views.nth(index).click()
            found[label] = tab.locator(".result-picture").get_attribute("src")
    for name in ("kept", "seam", "jump", "summary", "plot", "grid", "notice", "seed", "strip"):
        part = tab.locator(f".result-{name}").first
        found[name] = part.text_content() if part.is_visible() else None
    for name in ("start", "film"):
        files = tab.locator(f".result-{name}:not([hidden]) :is(img, video)")
        found[name] = files.evaluate_all("all => all.map((one) => one.getAttribute('src'))")
    curves = ".result-plot:not([hidden]) .plot-chart :is(path, polyline)"
    found["curves"] = tab.locator(curves).count()
    return found


def test_an_inpainting_comes_back_with_every_view(page: Page, address: str, picture: Path) -> None:
    tab = opened(page, address, "inpaint")
    open_picture(tab, picture)
    expect(drawn(tab)).to_be_visible()
    stroke(tab, (0.3, 0.3), (0.6, 0.6))
    generate(tab)
    expect(done(tab)).to_be_visible()
    before = shown(tab)
    views = ["Result", "Raw", "VAE round trip", "Input", "Drift of raw", "Drift of result", "Before / after"]
    assert before["views"] == views
    assert before["kept"]
    assert len(list(before["start"])) == 2  # type: ignore[call-overload]
    page.reload()
    expect(done(tab)).to_be_visible()
    assert shown(tab) == before
    tab.get_by_role("button", name="Before / after").click()
    expect(tab.locator(".result-compare")).to_be_visible()
    for image in tab.locator(".result-compare img").all():
        assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") == 96


def test_a_walk_and_a_plane_come_back_with_film_distances_and_grid(page: Page, address: str) -> None:
    tab = opened(page, address, "embeddings/walk")
    tab.get_by_role("button", name="circle → square").click()
    expect(tab.get_by_label("To", exact=True)).to_have_value("square")
    fill_in(tab.get_by_label("Frames, 2–400"), "4")
    tab.get_by_label("Find the jump").check()
    fill_in(tab.get_by_role("spinbutton", name="Steps"), "3")
    tab.get_by_role("button", name="Generate").click()
    expect(done(tab)).to_be_visible()
    before = shown(tab)
    assert before["film"]
    assert before["plot"]
    assert before["curves"]
    page.reload()
    expect(done(tab)).to_be_visible()
    assert shown(tab) == before

    tab = opened(page, address, "embeddings/plane")
    tab.get_by_role("button", name="cat → kitten").click()
    for label, count in (("Rows", "2"), ("Columns", "2")):
        fill_in(tab.get_by_label(label, exact=True), count)
    tab.get_by_role("button", name="Generate").click()
    expect(tab.locator(".result-grid button")).to_have_count(4)
    before = shown(tab)
    page.reload()
    expect(tab.locator(".result-grid button")).to_have_count(4)
    assert shown(tab) == before


def test_a_match_comes_back_with_its_matrix(page: Page, address: str, picture: Path) -> None:
    opened(page, address, "interrogate/match")
    view = page.locator("#view-match")
    choose(view, "Add pictures", picture)
    expect(view.locator(".uploads-pictures img")).to_have_count(1)
    view.get_by_label("Texts").fill("a cat\na red house")
    view.get_by_role("button", name="Match", exact=True).click()
    expect(done(view)).to_be_visible()
    before = view.locator("table").inner_html()
    page.reload()
    expect(done(view)).to_be_visible()
    assert view.locator("table").inner_html() == before
    assert view.locator("table img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 96
    view.get_by_role("button", name="Which text for this picture").click()
    expect(view.locator("td.row-best")).to_have_count(1)
    view.get_by_role("button", name="Remove all").click()
    expect(view.locator(".uploads-pictures img")).to_have_count(0)
    view.get_by_role("button", name="Undo", exact=True).click()
    expect(view.locator(".uploads-pictures img")).to_have_count(1)


def test_nonsense_in_the_browsers_memory_leaves_a_page_that_works(page: Page) -> None:
    generate(page.locator("#tab-txt2img"))
    expect(done(page.locator("#tab-txt2img"))).to_be_visible()
    keys = page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('sd_app'))")
    assert keys
    for key in keys:
        page.evaluate(
            "([key, text]) => localStorage.setItem(key, text)", [key, '{"pictures": [["../x.png"]]}']
        )
    page.reload()
    tab = page.locator("#tab-txt2img")
    expect(tab.locator(".result[data-phase=empty]")).to_be_visible()
    generate(tab)
    expect(done(tab)).to_be_visible()
