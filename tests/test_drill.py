"""Every line of what a visitor may and may not, tried in every mode; and the docs print the same table."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from sd_app import Settings, Studio
from sd_app.ui import build_ui, choose_access, launch_options, theme_options
from tests.drill import MODES, TABLE, Line, Visitor, as_markdown

DOCS = Path(__file__).parent.parent / ".github" / "docs" / "flags.md"
LOGIN = ("me", "secret")


@pytest.fixture(scope="module")
def visitors(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Visitor]]:
    """Serve one app in each mode; yield somebody who is in."""
    with ExitStack() as stack:
        found = {}
        for mode in MODES:
            outputs = tmp_path_factory.mktemp(mode)
            settings = Settings(
                models_dir=random_models, outputs_dir=outputs, model="model-a", mode=mode, batch_size=1
            )
            auth = ":".join(LOGIN) if mode == "shared" else None
            access = choose_access(host="127.0.0.1", mode=mode, auth=auth, environ={})
            demo = build_ui(Studio(settings))
            options = {**launch_options(access), **theme_options()}
            _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **options)
            stack.callback(demo.close)
            http = stack.enter_context(httpx.Client(timeout=60))
            if auth:
                data = dict(zip(("username", "password"), LOGIN, strict=True))
                http.post(url + "login", data=data).raise_for_status()
            found[mode] = Visitor(
                url=url,
                folder=tmp_path_factory.mktemp("trial"),
                outputs=outputs,
                models=random_models,
                http=http,
                login=LOGIN if auth else None,
            )
        yield found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.may)
def test_a_visitor_may_what_the_table_says(row: Line, mode: str, visitors: dict[str, Visitor]) -> None:
    assert row.tried(visitors[mode]) is getattr(row, mode)


def test_the_docs_print_the_table() -> None:
    assert as_markdown() in DOCS.read_text("utf-8")


def test_every_answer_says_what_a_browser_may_do_with_it(visitors: dict[str, Visitor]) -> None:
    for one in visitors.values():
        for path in ("", "config", "theme.css", "gradio_api/info", "nowhere", "gradio_api/file=/etc/passwd"):
            headers = one.get(path).headers
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["referrer-policy"] == "same-origin", path


def test_an_uploaded_page_that_is_opened_by_itself_runs_nothing(visitors: dict[str, Visitor]) -> None:
    for one in visitors.values():
        files = {"files": ("a.html", b"<script>alert(1)</script>", "text/html")}
        (path,) = one.http.post(one.url + "gradio_api/upload", files=files).json()
        answer = one.get(f"gradio_api/file={path}")
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["content-security-policy"].endswith("sandbox")
