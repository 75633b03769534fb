"""A hub that answers what it should not: without an end, drop by drop, nonsense. Only words come of it."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from threading import Thread, active_count
from typing import Any

import pytest

from sd_app import Settings, Studio
from sd_app.catalog import find_snapshot, list_downloaded
from sd_app.hub import plan
from sd_app.hub.download import check_room
from sd_app.hub.hub_cache import hub_cache, repo_folder
from sd_app.hub.plan import plan_download, read_hub_id
from sd_app.requests import Cancelled
from sd_app.settings import EMBEDDED_DIR
from sd_app.ui.header.add_model import ModelDownloads
from sd_app.ui.shared.errors import error_text
from sd_app.weights.loaders import download_snapshot
from tests.hub.server import Handler, HubServer, Repo, describe, read_files
from tests.hub.steps import HUB_ID
from tests.limits import PATIENCE

UNET_CONFIG = "unet/config.json"
INDEX = "unet/diffusion_pytorch_model.safetensors.index.json"
MEGABYTE = 1_000_000

Trick = Callable[[Handler], bool]  # answers a request by itself, or says that it does not


class Hostile(Handler):
    """The server of the other tests, with a trick up its sleeve and a listing that can be altered."""

    trick: Trick
    alter: Callable[[dict[str, Any]], None]
    sent = 0  # bytes of what has no end

    def do_GET(self) -> None:
        if type(self).trick(self):
            return
        if self.path.startswith("/api/models/") and HUB_ID in self.path:
            listing = describe(HUB_ID, self.hub.repos[HUB_ID])
            type(self).alter(listing)
            self.answer(json.dumps(listing).encode())
        else:
            super().do_GET()

    def begin(self, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def pour(self, most: int = 300 * MEGABYTE) -> None:
        """Send bytes without an end."""
        piece = b" " * MEGABYTE
        try:
            while type(self).sent < most:
                self.wfile.write(piece)
                type(self).sent += len(piece)
        except OSError:
            pass

    def drip(self) -> None:
        """Send a byte ten times a second."""
        try:
            while not self.hub.closing.wait(0.1):
                self.wfile.write(b"x")
                self.wfile.flush()
        except OSError:
            pass


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[type[Hostile]]:
    hub = HubServer(repos={HUB_ID: Repo(files=files)})
    changes = {
        "hub": hub,
        "trick": staticmethod(lambda asked: False),
        "alter": staticmethod(lambda known: None),
    }
    handler = type("HostileHandler", (Hostile,), changes)
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http.daemon_threads = True
    hub.url = f"http://127.0.0.1:{http.server_port}"
    Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield handler
    finally:
        hub.closing.set()
        http.shutdown()
        http.server_close()


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[type[Hostile]]:
    """A hub that holds the embedded model, whose weights lie in several files, and an empty cache."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with serve(read_files(EMBEDDED_DIR / "tiny-sd")) as handler:
        monkeypatch.setenv("HF_ENDPOINT", handler.hub.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        yield handler


def refused(error: type[Exception] = ValueError) -> str:
    """Ask for the model; return the words, when nothing was written and no weights were asked for."""
    with pytest.raises(error) as caught:
        download_snapshot(HUB_ID, lambda progress: None)
    assert not hub_cache().exists()
    text = str(caught.value)
    assert text.startswith((HUB_ID, "there is", UNET_CONFIG))
    assert len(text) < 500
    return text


def change(hub: type[Hostile], path: str, **changes: object) -> None:
    files = hub.hub.repos[HUB_ID].files
    files[path] = json.dumps({**json.loads(files[path]), **changes}).encode()


def at(path: str, act: Callable[[Hostile], None]) -> Any:
    def trick(asked: Hostile) -> bool:
        if path not in asked.path:
            return False
        act(asked)
        return True

    return staticmethod(trick)


def drip_body(asked: Hostile) -> None:
    asked.begin()
    asked.drip()


# -- how much is read, and for how long


def test_the_embedded_model_passes_so_what_follows_is_refused_for_its_fault(hub):
    folder = download_snapshot(HUB_ID, lambda progress: None)
    assert find_snapshot(HUB_ID) == folder


def test_a_configuration_without_an_end_is_left_at_the_limit(hub):
    def act(asked: Hostile) -> None:
        asked.begin()
        asked.pour()

    hub.trick = at(UNET_CONFIG, act)
    assert "its unet/config.json is larger than 1 MB" in refused()
    assert hub.sent < 50 * MEGABYTE


def test_a_listing_without_an_end_is_left_at_the_limit(hub):
    def act(asked: Hostile) -> None:
        asked.begin()
        asked.pour()

    hub.trick = at("/api/models/", act)
    assert "the hub's list of its files is larger than 5 MB" in refused()
    assert hub.sent < 50 * MEGABYTE


@pytest.mark.parametrize("status", [404, 500, 302])
def test_the_body_of_an_error_or_a_redirect_is_not_read(hub, status):
    def act(asked: Hostile) -> None:
        asked.begin(status, **({"Location": asked.path} if status == 302 else {}))
        asked.pour(100 * MEGABYTE * (hub.sent // (100 * MEGABYTE) + 1))

    hub.trick = at("/api/models/", act)
    refused((ValueError, OSError))  # type: ignore[arg-type]
    assert hub.sent < 90 * MEGABYTE


def test_a_packed_answer_is_not_unpacked(hub):
    packed = gzip.compress(b" " * (50 * MEGABYTE))

    def act(asked: Hostile) -> None:
        assert asked.headers["accept-encoding"] == "identity"
        asked.begin(Content_Encoding="gzip", Content_Length=str(len(packed)))
        asked.wfile.write(packed)

    hub.trick = at("/api/models/", act)
    assert "what arrived is not a list of its files" in refused(OSError)


@pytest.mark.parametrize("where", ["/api/models/", UNET_CONFIG])
@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_drips_is_left_when_the_time_is_up(hub, monkeypatch, where, part):
    def act(asked: Hostile) -> None:
        if part == "body":
            asked.begin()
        else:
            asked.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        asked.drip()

    hub.trick = at(where, act)
    monkeypatch.setattr(plan, "LOOKUP_SECONDS", 1.0)
    assert "takes more than 1 seconds to say what it is (try again later)" in refused(OSError)


def test_a_lookup_that_nobody_waits_for_ends_at_once(hub, monkeypatch):
    hub.trick = at("/api/models/", drip_body)
    monkeypatch.setattr(plan, "LOOKUP_SECONDS", 1000.0)
    before = active_count()
    downloads = ModelDownloads(Studio(Settings(models_dir=EMBEDDED_DIR)))
    drawn: list[object] = []
    thread = Thread(target=lambda: drawn.append(downloads.look_up(HUB_ID)))
    thread.start()
    time.sleep(0.5)
    assert thread.is_alive()
    started = time.monotonic()
    downloads.leave()
    thread.join(PATIENCE)
    assert drawn == [None]
    while active_count() > before + 1:  # the server's own thread of this connection may stay a moment
        assert time.monotonic() - started < PATIENCE
        time.sleep(0.05)
    hub.trick = staticmethod(lambda asked: False)
    planned = downloads.look_up(HUB_ID)
    assert planned
    assert planned["phase"] == "planned"


def test_what_waiting_raises_ends_the_lookup(hub):
    hub.trick = at("/api/models/", drip_body)

    def waiting() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        plan_download(HUB_ID, waiting)


def test_a_redirect_takes_no_token_to_another_host(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    tokens: list[tuple[str, str | None]] = []

    def trick(asked: Hostile) -> bool:
        host, port = asked.headers["host"].split(":")
        tokens.append((host, asked.headers.get("authorization")))
        if host == "localhost":
            return False
        asked.begin(307, Location=f"http://localhost:{port}{asked.path}")
        return True

    hub.trick = staticmethod(trick)
    assert plan_download(HUB_ID).pipeline == "StableDiffusionPipeline"
    assert {token for host, token in tokens if host == "localhost"} == {None}
    assert {token for host, token in tokens if host != "localhost"} == {"Bearer hf_secret"}


def test_a_circle_of_addresses_is_left(hub):
    hub.trick = at("/api/models/", lambda asked: asked.begin(307, Location=asked.path))
    assert "redirects from one address to the next" in refused(OSError)


# -- the listing


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>log in</html>", b"[]", b"{}", b"[" * 100_000, b'{"siblings": [{"rfilename": 1}]}'],
)
def test_a_listing_that_is_none_is_said_in_words(hub, body):
    hub.trick = at("/api/models/", lambda asked: asked.answer(body))
    text = refused(OSError)
    assert "what arrived is not a list of its files" in text
    assert "Expecting value" not in text


@pytest.mark.parametrize("size", [-5, True, "7", 10**400])
@pytest.mark.parametrize("path", [UNET_CONFIG, "vae/diffusion_pytorch_model.safetensors"])
def test_a_size_that_is_none_is_refused(hub, size, path):
    def alter(listing: dict[str, Any]) -> None:
        next(file for file in listing["siblings"] if file["rfilename"] == path)["size"] = size

    hub.alter = staticmethod(alter)
    text = refused(OSError)
    assert f"the size of {path} must be a whole number of bytes, and the hub says" in text


def test_odd_facts_of_a_listing_are_shown_as_plain_text_or_not_at_all(hub):
    hub.alter = staticmethod(
        lambda known: known.update(cardData={"license": "m\ud800i\nt" + "x" * 999}, tags=[1, None], gated=[])
    )
    assert plan_download(HUB_ID).license == "mit" + "x" * 75
    hub.alter = staticmethod(lambda known: known.update(cardData=[1], tags="license:x"))
    assert plan_download(HUB_ID).license == ""


@pytest.mark.parametrize("blob", [None, [], "../../../evil", "A" * 40])
def test_a_blob_that_is_no_hash_is_refused(hub, blob):
    hub.alter = staticmethod(lambda known: [file.update(blobId=blob, lfs=None) for file in known["siblings"]])
    assert "the hub does not say what 'model_index.json' is" in refused(OSError)


def test_a_name_too_long_for_a_disk_is_refused(hub):
    hub.hub.repos[HUB_ID].files[f"tokenizer/{'n' * 5000}.json"] = b"{}"
    assert "a name in it is too long for a disk: 'tokenizer/nn" in refused()


# -- what the configurations say


def test_a_configuration_that_is_another_than_would_be_fetched_is_refused(hub):
    hub.trick = at(UNET_CONFIG, lambda asked: asked.answer(b'{"sample_size": 8}'))
    assert "unet/config.json of owner/some-model arrived damaged" in refused(OSError)


@pytest.mark.parametrize("entry", [[], ["diffusers", "A", "B"]])
@pytest.mark.parametrize("part", ["unet", "scheduler"])
def test_a_part_without_a_class_is_refused(hub, part, entry):
    change(hub, "model_index.json", **{part: entry})
    assert f"its model_index.json must name a library and a class for {part}, got" in refused()


@pytest.mark.parametrize("kind", [None, [], "x" * 5000])
def test_a_pipeline_that_is_no_name_is_refused(hub, kind):
    change(hub, "model_index.json", _class_name=kind)
    assert "its model_index.json must name a class as _class_name, got" in refused()


@pytest.mark.parametrize("side", [float("inf"), "x", [64, 64], -8, True, 10**9])
def test_a_sample_size_that_is_none_is_refused(hub, side):
    change(hub, UNET_CONFIG, sample_size=side)
    assert "the sample_size in its unet/config.json must be a whole number from 1 to 1024" in refused()


def test_a_number_too_large_for_a_float_is_refused(hub):
    files = hub.hub.repos[HUB_ID].files
    files[UNET_CONFIG] = b'{"sample_size": 1e999, "in_channels": 4}'
    assert "got inf" in refused()


def test_a_side_may_be_left_open(hub):
    change(hub, UNET_CONFIG, sample_size=None)
    assert plan_download(HUB_ID).native_size > 0


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        (UNET_CONFIG, "in_channels", [4]),
        ("vae/config.json", "block_out_channels", None),
        ("vae/config.json", "block_out_channels", "x" * 999),
        ("vae/config.json", "block_out_channels", [1] * 999),
        ("vae/config.json", "scaling_factor", [1]),
        ("vae/config.json", "scaling_factor", float("nan")),
    ],
)
def test_a_value_the_catalog_could_not_read_is_refused(hub, path, name, value):
    change(hub, path, **{name: value})
    assert f"the {name} in its {path} must be" in refused()


@pytest.mark.parametrize(
    "shards",
    [
        *(None, [1], {}, {"a": [1]}, {"a": "n" * 5000}, {"a": "../unet/x.safetensors"}),
        *({"a": "/etc/passwd"}, {"a": "gone.safetensors"}, {"a": "config.json"}),
    ],
)
def test_an_index_of_weights_that_names_none_is_refused(hub, shards):
    change(hub, INDEX, weight_map=shards)
    assert f"the weight_map in its {INDEX} must" in refused()


def test_a_file_the_catalog_takes_for_an_index_is_checked_as_one(hub):
    odd = "unet/a.safetensors.indexes.json"
    hub.hub.repos[HUB_ID].files[odd] = b'{"weight_map": [1]}'
    assert f"the weight_map in its {odd} must" in refused()


def test_an_index_that_is_no_object_is_refused(hub):
    hub.hub.repos[HUB_ID].files[INDEX] = b"[1]"
    assert f"its {INDEX} is not a JSON object" in refused()
    assert list_downloaded() == []


# -- what a person may type, and what a visitor may read


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("https://huggingface.co/datasets/x", "a dataset"),
        ("https://huggingface.co/datasets/owner/x", "a dataset"),
        ("hf.co/spaces/owner/x?a=b", "a Space"),
        ("spaces/x", "a Space"),
        ("https://huggingface.co/Collections/owner/x", "a collection"),
        ("https://huggingface.co/api/models/owner/x", "no model"),
    ],
)
def test_the_address_of_something_else_is_refused(hub, typed, kind):
    with pytest.raises(
        ValueError, match=rf"must be that of a model, got .*, which is {kind} \(open the model"
    ):
        read_hub_id(typed)


def test_a_disk_too_small_is_said_without_a_path(hub):
    hub.hub.repos[HUB_ID].sizes["vae/diffusion_pytorch_model.safetensors"] = 10**15
    with pytest.raises(ValueError, match="set HF_HUB_CACHE") as caught:
        check_room(plan_download(HUB_ID))
    shown = error_text(caught.value, "shared")
    assert "free" in shown
    assert "/" not in shown.replace(HUB_ID, "")
    assert not repo_folder(HUB_ID).exists()
