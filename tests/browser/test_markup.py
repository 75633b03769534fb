"""Markup in names and texts of files stays text all over the page; and what got in could call nobody."""

import io
import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Browser, ConsoleMessage, FilePayload, Page, expect

from sd_app import Settings, Studio
from tests.addons.lora_writers import kohya, lora_layers, write_lora
from tests.browser.conftest import PATIENCE, served
from tests.browser.steps import done, generate, open_picture

TABS = ("Text to image", "Image to image", "Inpaint", "Interrogate", "Embeddings", "Look inside")


@dataclass(kw_only=True)
class Listener:
    """A server on loopback that nobody may call."""

    port: int
    heard: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return markup that can be a file's name: a browser takes backslashes in an address for slashes."""
        return rf"<img src=http:\\127.0.0.1:{self.port}\name onerror=window.ran=1>"

    @property
    def text(self) -> str:
        """Return all sorts of markup in one text, which calls here in whatever way it is shown."""
        url = f"http://127.0.0.1:{self.port}"
        return (
            f'<img src="{url}/img" onerror="window.ran=1"><script src="{url}/script"></script>'
            f'<svg onload="window.ran=1"><image href="{url}/svg"/></svg><iframe src="{url}/frame"></iframe>'
            f'<form action="{url}/form"><input name="password"></form>'
            f'<a href="{url}/a" class="injected">a</a>'
            f'<style>body{{background:url({url}/css)}}</style><link rel=stylesheet href="{url}/link">'
            f'&lt;img src="{url}/entity"&gt; ![x]({url}/markdown) [x](javascript:window.ran=1)'
            f"\" onmouseover=\"window.ran=1\" ' onfocus='window.ran=1' ${{window.ran=1}} {{{{window.ran=1}}}}"
        )


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    server = socket.create_server(("127.0.0.1", 0))
    found = Listener(port=server.getsockname()[1])

    def listen() -> None:
        while True:
            try:
                one, _ = server.accept()
            except OSError:
                return
            with one:
                found.heard.append(one.recv(200).decode(errors="replace").split("\r\n")[0])
                one.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield found
    server.close()


@pytest.fixture(scope="module")
def address(
    random_models: Path, tmp_path_factory: pytest.TempPathFactory, browser: Browser, listener: Listener
) -> Iterator[str]:
    """A page whose every file has markup in its name, and in its texts where it has any."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(random_models / "model-a", folder / listener.name)
    told = json.loads((folder / listener.name / "studio.json").read_text())
    told |= {"title": listener.text, "note": listener.text, "example_prompts": [listener.text]}
    (folder / listener.name / "studio.json").write_text(json.dumps(told))
    os.symlink(random_models / "model-a", folder / "model-a")  # noqa: PTH211
    studio = Studio(Settings(models_dir=folder, model="model-a"))
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        layers = kohya(lora_layers(pipe.components, 1))
        encoder = pipe.text_encoder.get_input_embeddings().weight.detach()
    metadata = {"modelspec.trigger_phrase": listener.text, "modelspec.title": listener.text}
    write_lora(folder / f"loras/{listener.name}.safetensors", layers, metadata)
    write_lora(folder / f"embeddings/{listener.name}.safetensors", {"emb_params": encoder[[320]].clone()})
    shutil.copytree(random_models / "model-b/vae", folder / f"vae/{listener.name}")
    (folder / "phrases").mkdir()
    (folder / f"phrases/{listener.name}.txt").write_text(f"{listener.text[:480]}\na red cat\n")
    settings = Settings(
        models_dir=folder,
        outputs_dir=tmp_path_factory.mktemp("outputs"),
        cache_dir=tmp_path_factory.mktemp("cache"),
        model="model-a",
    )
    with served(settings) as url:
        yield url


@pytest.fixture
def told() -> list[str]:
    """What the console said: errors and what the policy refused."""
    return []


@pytest.fixture
def page(browser: Browser, address: str, told: list[str]) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            told.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(address)
    page.wait_for_selector(".result")
    page.wait_for_function("document.querySelector('#model-picker input')?.value === 'model-a'")
    yield page
    context.close()


def png(**texts: str) -> bytes:
    kept = PngInfo()
    for key, text in texts.items():
        kept.add_text(key, text)
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG", pnginfo=kept)
    return buffer.getvalue()


def assert_all_is_text(page: Page, listener: Listener, told: list[str]) -> None:
    """Fail if any markup became elements, ran, or asked for something; the console must be silent too."""
    for inner in ("img", "image", "script", "iframe", "form", "a", "link", "source"):
        found = page.locator(inner).evaluate_all(
            "(all, port) => all.map((one) => one.outerHTML.split('>')[0]).filter((a) => a.includes(port))",
            f":{listener.port}",
        )
        assert found == []
    assert page.evaluate("window.ran") is None
    assert page.locator(".injected").count() == 0
    assert listener.heard == []
    assert told == []


def tab_of(page: Page, name: str) -> str:
    page.get_by_role("tab", name=name, exact=True).click()
    page.wait_for_timeout(200)
    return name


def test_the_listener_hears_who_calls_it(listener: Listener) -> None:
    with socket.create_connection(("127.0.0.1", listener.port)) as one:
        one.sendall(b"GET /here HTTP/1.1\r\n\r\n")
        assert one.recv(100).startswith(b"HTTP/1.1 204")
    assert listener.heard == ["GET /here HTTP/1.1"]
    listener.heard.clear()


def test_no_tab_says_anything_in_the_console(page: Page, listener: Listener, told: list[str]) -> None:
    for name in TABS:
        tab_of(page, name)
    assert_all_is_text(page, listener, told)


def test_names_in_pickers_notes_and_examples_are_text(
    page: Page, listener: Listener, told: list[str]
) -> None:
    picker = page.locator("#model-picker input")
    for name in TABS:
        tab_of(page, name)
        for menu in page.get_by_role("listbox").all():
            if menu.is_visible():
                menu.click()
                page.wait_for_timeout(100)
                page.keyboard.press("Escape")
    tab_of(page, TABS[0])
    page.locator("summary, .label-wrap").first.click()
    picker.click()
    page.get_by_role("option", name=listener.name).first.click()
    expect(page.locator("#tab-txt2img, .maker").first).to_be_visible()
    page.wait_for_timeout(500)
    expect(page.get_by_text("onerror=").filter(visible=True).first).to_be_visible()
    assert_all_is_text(page, listener, told)


def test_a_pictures_texts_and_name_are_text_in_forms_toasts_and_captions(
    page: Page, listener: Listener, told: list[str]
) -> None:
    text = listener.text
    strange = ", ".join(f"{key}: {json.dumps(text)}" for key in ("Model", "VAE", "Magic", "Version"))
    numbers = "Steps: 2, Sampler: DDIM, CFG scale: 7, Seed: 1, Size: 64x64"
    infotext = f"{text}\nNegative prompt: {text}\n{numbers}, {strange}"
    picture = FilePayload(name=f"{listener.name}.png", mimeType="image/png", buffer=png(parameters=infotext))
    tab = page.get_by_role("tabpanel").filter(visible=True).first
    tab_of(page, TABS[0])
    page.locator("input[type=file]").first.set_input_files(picture)
    expect(page.get_by_text("Not taken: Model: <img").first).to_be_visible()
    assert_all_is_text(page, listener, told)
    generate(tab, f"a cat {text[:120]}")
    expect(done(tab)).to_be_visible()
    tab.locator(".result").hover()
    page.wait_for_timeout(300)
    assert_all_is_text(page, listener, told)
    tab_of(page, TABS[1])
    second = page.locator("#tab-img2img")
    open_picture(second, picture)
    page.wait_for_timeout(1000)
    wrong = FilePayload(name=f"{listener.name}.png", mimeType="image/png", buffer=b"no picture")
    open_picture(second, wrong)
    page.wait_for_timeout(1000)
    assert_all_is_text(page, listener, told)


def test_phrases_and_texts_are_text_in_tables_and_tooltips(
    page: Page, listener: Listener, told: list[str]
) -> None:
    tab_of(page, "Interrogate")
    tab = page.locator("#tab-interrogate")
    picture = FilePayload(name=f"{listener.name}.png", mimeType="image/png", buffer=png())
    open_picture(tab, picture)
    page.wait_for_timeout(500)
    tab.get_by_role("button", name="Interrogate", exact=True).click()
    expect(page.locator(".words[data-phase=done], .words[data-phase=error]").first).to_be_visible()
    assert_all_is_text(page, listener, told)
    tab_of(page, "Embeddings")
    embeddings = page.locator("#tab-embeddings")
    embeddings.get_by_label("Prompt", exact=True).first.fill(listener.text[:200])
    embeddings.get_by_role("button", name="Show the numbers").click()
    page.wait_for_timeout(1500)
    assert_all_is_text(page, listener, told)


def test_what_got_into_the_page_all_the_same_could_run_nothing_and_call_nobody(
    page: Page, listener: Listener, told: list[str]
) -> None:
    page.evaluate("(html) => { const all = document.createElement('div'); all.innerHTML = html;"
                  " document.body.append(all); }", listener.text)  # fmt: skip
    page.wait_for_timeout(500)
    assert page.locator(".injected").count() == 1  # it is there
    assert page.evaluate("window.ran") is None
    assert [line for line in listener.heard if line] == []  # a browser may knock, and says nothing
    refused = [text for text in told if "Content Security Policy" in text]
    assert len(refused) >= 4
