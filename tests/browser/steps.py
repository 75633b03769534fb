"""What a person does on a canvas, for the tests of the tabs that have one."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import FilePayload, Locator

SETTLE = 150  # milliseconds a field that has just appeared is given


def open_picture(tab: Locator, picture: Path | FilePayload) -> None:
    choose(tab, "Open picture", picture)


def choose(tab: Locator, button: str, picture: Path | FilePayload) -> None:
    """Press a button that asks for a file, and give it one."""
    with tab.page.expect_file_chooser() as waiting:
        tab.get_by_role("button", name=button).click()
    waiting.value.set_files(picture)


def drawn(tab: Locator) -> Locator:
    return tab.locator(".canvas[data-empty=false]")


def done(tab: Locator) -> Locator:
    return tab.locator(".result[data-phase=done]")


def fill_in(field: Locator, text: str) -> None:
    """Type into a field that has only just appeared: Gradio can set its first value again once it is seen."""
    field.fill(text)
    field.page.wait_for_timeout(SETTLE)
    while field.input_value() != text:
        field.fill(text)
        field.page.wait_for_timeout(SETTLE)


def generate(tab: Locator, prompt: str = "a red cat") -> None:
    fill_in(tab.get_by_label("Prompt", exact=True), prompt)
    tab.get_by_role("button", name="Generate").click()


def stroke(tab: Locator, *points: tuple[float, float]) -> None:
    """Draw with the mouse; points are shares of the canvas's width and height."""
    canvas = tab.locator(".canvas-paint")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    mouse = tab.page.mouse
    first, *rest = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    mouse.move(*first)
    mouse.down()
    for point in rest:
        mouse.move(*point, steps=4)
    mouse.up()


def painted(tab: Locator) -> NDArray[np.uint8]:
    """Return the opacity of what is painted, (H, W) uint8."""
    data = tab.locator(".canvas-paint").evaluate(
        "c => [c.width, c.height, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]"
    )
    width, height, values = data
    return np.array(values, np.uint8).reshape(height, width, 4)[..., 3]
