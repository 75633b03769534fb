"""Who may reach the app: flags, modes, and the checks in front of the page."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from PIL import Image

import app
from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.metadata import save_image
from sd_app.ui import Access, build_ui, choose_access, launch_options, theme_options

ORIGIN = "https://elsewhere.example"


def access(**flags: Any) -> Access:
    return choose_access(**{"environ": {}, **flags})


def test_by_default_only_this_machine_gets_in() -> None:
    local = access()
    assert (local.mode, local.host, local.share, local.auth) == ("local", "127.0.0.1", False, None)


@pytest.mark.parametrize(
    "flags", [{"share": True}, {"listen": True}, {"host": "0.0.0.0"}, {"host": "10.0.0.5"}]
)
def test_what_others_can_reach_always_has_a_password(flags: dict[str, object]) -> None:
    shared = access(**flags)
    assert shared.mode == "shared"
    assert shared.generated
    assert shared.auth
    assert len(shared.auth[1]) >= 12
    assert shared.auth != access(**flags).auth
    given = access(**flags, auth="me:a:b")
    assert (given.auth, given.generated) == (("me", "a:b"), False)
    with pytest.raises(ValueError, match="mode"):
        access(**flags, mode="local")


@pytest.mark.parametrize("auth", ["", " ", "me", "me:", ":secret", "me: ", " :secret", ":"])
def test_a_login_needs_both_parts(auth: str) -> None:
    with pytest.raises(ValueError, match="user:password"):
        access(auth=auth)
    with pytest.raises(ValueError, match="user:password"):
        access(auth=auth, mode="space")


def test_spaces_around_the_user_are_none_of_the_name_as_the_login_has_it() -> None:
    assert access(auth=" me : se cret ").auth == ("me", " se cret ")


@pytest.mark.parametrize(
    ("name", "value"),
    [("LISTEN", "perhaps"), ("SHARE", "y e s"), ("MODE", "public"), ("THEME", "pink"), ("PORT", "many")],
)
def test_an_odd_environment_value_ends_with_a_message_and_opens_nothing(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"SD_APP_{name}", value)
    with pytest.raises(SystemExit):
        app.main([])
    assert name.lower() in capsys.readouterr().err.lower()


@pytest.mark.parametrize(
    ("value", "on"), [("", False), (" ", False), ("On", True), ("no", False), (" TRUE ", True)]
)
def test_a_switch_reads_what_people_write(value: str, on: bool) -> None:
    assert app.make_parser({"SD_APP_LISTEN": value}).parse_args([]).listen is on


def test_a_space_is_known_by_its_environment_and_sets_its_own_address() -> None:
    space = access(environ={"SPACE_ID": "me/app"})
    assert (space.mode, space.host, space.auth, space.share) == ("space", None, None, False)


@pytest.mark.parametrize("space_id", ["", " "])
@pytest.mark.parametrize(
    ("flags", "mode"), [({}, "local"), ({"listen": True}, "shared"), ({"share": True}, "shared")]
)
def test_an_empty_name_of_a_space_is_none(space_id: str, flags: dict[str, object], mode: str) -> None:
    opened = access(environ={"SPACE_ID": space_id}, **flags)
    assert opened.mode == mode
    assert bool(opened.auth) == (mode == "shared")


@pytest.mark.parametrize("flags", [{"listen": True}, {"share": True}, {"host": "0.0.0.0"}, {"host": "::"}])
def test_beside_a_spaces_name_too_what_others_can_reach_has_a_password(flags: dict[str, object]) -> None:
    opened = access(environ={"SPACE_ID": "me/app"}, **flags)
    assert (opened.mode, opened.generated) == ("shared", True)
    assert opened.auth
    with pytest.raises(ValueError, match="without a password"):
        access(**flags, mode="space")
    assert access(**flags, mode="space", auth="me:secret").auth == ("me", "secret")


def test_an_unknown_mode_opens_nothing() -> None:
    with pytest.raises(ValueError, match="mode must be one of local, shared, space, got public"):
        access(mode="public", listen=True)


def test_every_flag_has_an_environment_variable() -> None:
    environ = {
        "SD_APP_MODEL": "a/b",
        "SD_APP_PORT": "7000",
        "SD_APP_LISTEN": "true",
        "SD_APP_MODELS_DIR": "/m",
    }
    flags = app.make_parser(environ).parse_args(["--port", "7001"])
    assert (flags.model, flags.port, flags.listen, flags.models_dir) == ("a/b", 7001, True, Path("/m"))
    assert not app.make_parser(environ).parse_args(["--no-listen"]).listen
    usage = app.make_parser({}).format_help()
    names = [
        "host",
        "port",
        "listen",
        "share",
        "auth",
        "model",
        "models-dir",
        "outputs-dir",
        "device",
        "dtype",
        "lowvram",
        "tile-above",
        "theme",
    ]
    for name in names:
        assert f"--{name}" in usage
        assert f"SD_APP_{name.replace('-', '_').upper()}" in usage


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "tpu"], "device must be"),
        (["--port", "0"], "port must be"),
        (["--theme", "pink"], "theme"),
    ],
)
def test_a_bad_flag_ends_with_a_message(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        app.main(arguments)
    assert words in capsys.readouterr().err


# -- the served page


@contextlib.contextmanager
def served(settings: Settings, **flags: object) -> Iterator[str]:
    demo = build_ui(Studio(settings))
    options = launch_options(access(**flags))
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **options, **theme_options())
    try:
        yield url
    finally:
        demo.close()


@pytest.fixture(scope="module")
def settings(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("outputs")
    return Settings(models_dir=random_models, outputs_dir=folder, model="model-a")


@pytest.fixture(scope="module")
def local(settings: Settings) -> Iterator[str]:
    with served(settings) as url:
        yield url


def test_local_answers_only_to_loopback_names(local: str) -> None:
    port = httpx.URL(local).port
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert httpx.get(local, headers={"host": f"{host}:{port}"}).status_code == 200
    for host in ("evil.example", f"127.0.0.1.evil.example:{port}", ""):
        assert httpx.get(local, headers={"host": host}).status_code == 400


def test_writes_from_another_site_are_refused(local: str) -> None:
    upload = local + "gradio_api/upload"
    files = {"files": ("a.txt", b"hello")}
    own = str(httpx.URL(local)).rstrip("/")
    assert httpx.post(upload, files=files, headers={"origin": own}).status_code == 200
    assert httpx.post(upload, files=files).status_code == 200  # a program, not a browser
    for origin in (ORIGIN, "null", own + "1", own.replace("http://", "http://evil.")):
        assert httpx.post(upload, files=files, headers={"origin": origin}).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/file=/etc/passwd",
        "gradio_api/file=app.py",
        "openapi.json",
        "docs",
        "monitoring",
        "monitoring/summary",
    ],
)
def test_nothing_but_the_page_and_its_pictures_is_served(local: str, path: str) -> None:
    assert httpx.get(local + path).status_code in (403, 404)


@pytest.mark.parametrize(
    "path", ["file=http://a.example", "file=HTTPS%3A//a.example", "proxy=https://a.hf.space"]
)
def test_no_address_is_fetched_for_a_client(local: str, path: str) -> None:
    answer = httpx.get(f"{local}gradio_api/{path}")
    assert (answer.status_code, answer.text) == (403, "This app fetches no addresses.")


def test_the_outputs_folder_itself_is_not_served(local: str, settings: Settings) -> None:
    request = Txt2ImgRequest(
        prompt="a",
        model="model-a",
        scheduler="DDIM",
        num_inference_steps=1,
        guidance_scale=1,
        seed=0,
        width=64,
        height=64,
    )
    path = save_image(Image.new("RGB", (64, 64)), request, outputs_dir=settings.outputs_dir, seed=0)
    assert httpx.get(f"{local}gradio_api/file={path}").status_code == 403


def test_jobs_cannot_be_posted_past_the_queue(local: str) -> None:
    answer = httpx.post(local + "gradio_api/run/txt2img", json={"data": ["a cat"]})
    assert answer.status_code == 404


def test_the_page_reports_nothing_to_others(local: str) -> None:
    assert "Glass-box Studio" in httpx.get(local).text
    config = httpx.get(local + "config").json()
    assert config["footer_links"] == []
    assert not config["analytics_enabled"]


def events(url: str) -> set[str]:
    """Return what a visitor could trigger: the names of all events that the page is wired for."""
    config = httpx.get(url + "config").json()
    return {name for one in config["dependencies"] for _, name in one["targets"]}


def test_visitors_have_no_way_to_add_delete_or_unload_models(settings: Settings, local: str) -> None:
    owners = {"look_up_model", "begin", "remove", "opened", "added", "free"}
    assert owners <= events(local)
    assert "Hugging Face id" in httpx.get(local + "config").text
    with served(replace(settings, mode="space"), mode="space", host="127.0.0.1") as url:
        assert owners & events(url) == set()
        config = httpx.get(url + "config").text
        assert "Hugging Face id" not in config
        assert '"can_unload":true' not in config.replace(" ", "")


def test_shared_asks_for_the_password(settings: Settings) -> None:
    with served(replace(settings, mode="shared"), mode="shared", auth="me:secret") as url:
        assert httpx.get(url + "config").status_code == 401
        assert httpx.get(url + "gradio_api/info").status_code == 401
        with httpx.Client() as visitor:
            assert visitor.post(url + "login", data={"username": "me", "password": "no"}).status_code == 400
            assert (
                visitor.post(url + "login", data={"username": "me", "password": "secret"}).status_code == 200
            )
            assert visitor.get(url + "config").status_code == 200


class Page:
    """What Gradio prints when it opens a page, with its public link or without."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines

    def launch(self, **_options: object) -> None:
        for line in self.lines:
            print(line)


LOCAL = "* Running on local URL:  http://127.0.0.1:7860"
FAILED = "\nCould not create share link. Missing file: /a/b. \n\nPlease check your connection.\n\n1. Do"


def test_a_public_link_that_cannot_be_had_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    app.launch(cast(Any, Page(LOCAL, FAILED)), {"share": True})
    out, err = capsys.readouterr()
    assert out == f"{LOCAL}\n"
    assert err == f"{app.NO_LINK}\n"
    app.launch(cast(Any, Page(LOCAL, "* Running on public URL: https://x.gradio.live")), {"share": True})
    assert "public URL" in capsys.readouterr().out
    app.launch(cast(Any, Page(LOCAL)), {"share": False})
    assert capsys.readouterr() == (f"{LOCAL}\n", "")
