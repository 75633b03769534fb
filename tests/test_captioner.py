"""BLIP from folders and from the hub, by the files a person may give."""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    BertTokenizer,
    Blip2Config,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
)

from sd_app.interrogator.captioner import MAX_NEW_TOKENS, NUM_BEAMS, load_captioner, why_no_captioner
from sd_app.settings import EMBEDDED_DIR
from sd_app.weights.loaders import CONVERTED_TITLE, CONVERTER
from tests.hub.server import CLOSED, set_offline, use_hub

HUB_ID = "owner/some-blip"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "on", "the", "beach", "t", "-", "shirt"]


def make_captioner(folder: Path) -> Path:
    """Save a BLIP with random weights, laid out as the published ones: vocab.txt, preprocessor_config.json.

    Like theirs its weights have a row more than the tokenizer has words, for the first token of a caption.
    """
    torch.manual_seed(7)
    first = len(WORDS)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokens = {"vocab_size": first + 1, "bos_token_id": first, "eos_token_id": 2, "sep_token_id": 3}
    config = BlipConfig(  # large weights: the words depend on the picture
        text_config={**sizes, **tokens, "max_position_embeddings": 16, "initializer_range": 0.5},
        vision_config={**sizes, "image_size": 48, "patch_size": 16, "initializer_range": 0.5},
    )
    model = BlipForConditionalGeneration(config)
    with torch.no_grad():  # words rather than marks
        model.text_decoder.cls.predictions.bias[: WORDS.index("a")] = -9.0
    model.save_pretrained(folder)
    BlipImageProcessor(size={"height": 48, "width": 48}).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def random_blip(tmp_path_factory) -> Path:
    return make_captioner(tmp_path_factory.mktemp("captioners") / "random-blip")


@pytest.fixture
def copied_blip(random_blip: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(random_blip, tmp_path / "blip"))


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 90, 3), np.uint8))


# --- folders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_folder_of_the_published_layout_captions_as_transformers_does(random_blip, picture, dtype):
    captioner = load_captioner(str(random_blip), "cpu", dtype)
    assert captioner.model.dtype == dtype
    model = BlipForConditionalGeneration.from_pretrained(random_blip, dtype=dtype).eval()
    processor = BlipProcessor.from_pretrained(random_blip)
    inputs = processor(images=picture, return_tensors="pt").to(dtype=dtype)
    room = min(MAX_NEW_TOKENS, model.config.text_config.max_position_embeddings - 1)
    tokens = model.generate(**inputs, num_beams=NUM_BEAMS, max_new_tokens=room, early_stopping=True)
    text = processor.decode(tokens[0], skip_special_tokens=True)
    assert captioner.caption(picture) == text.replace("t - shirt", "t-shirt")
    assert set(text.split()) & set(WORDS)


def test_the_same_picture_gets_the_same_words(random_blip, picture):
    captioner = load_captioner(random_blip, "cpu", torch.float32)
    torch.manual_seed(1)
    first = captioner.caption(picture)
    torch.manual_seed(2)
    assert captioner.caption(picture) == first
    other = Image.eval(picture, lambda value: 255 - value)
    assert {captioner.caption(other), captioner.caption(picture.rotate(90))} != {first}


def test_weights_in_several_files_load(random_blip, copied_blip, picture):
    BlipForConditionalGeneration.from_pretrained(random_blip).save_pretrained(
        copied_blip, max_shard_size="50KB"
    )
    assert len(list(copied_blip.glob("model-*.safetensors"))) > 1
    (copied_blip / "model.safetensors").unlink(missing_ok=True)
    whole, split = (load_captioner(folder, "cpu", torch.float32) for folder in (random_blip, copied_blip))
    assert whole.caption(picture) == split.caption(picture)
    shard = next(copied_blip.glob("model-*.safetensors"))
    shard.unlink()
    with pytest.raises(ValueError, match=f"blip cannot be used as a captioner: {shard.name} is missing"):
        load_captioner(copied_blip, "cpu", torch.float32)
    (copied_blip / "model.safetensors.index.json").write_text("{")
    with pytest.raises(ValueError, match=r"its model.safetensors.index.json cannot be read"):
        load_captioner(copied_blip, "cpu", torch.float32)


def spoil_kind(folder: Path) -> None:
    Blip2Config(architectures=["Blip2ForConditionalGeneration"]).save_pretrained(folder)


def spoil_head(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BlipForQuestionAnswering"]}))


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


def leave_only_a_pickle(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def take_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def take_one_tensor(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["vision_model.embeddings.class_embedding"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def take_tokenizer(folder: Path) -> None:
    (folder / "vocab.txt").unlink()
    (folder / "tokenizer.json").unlink()


def take_processor(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()


def add_words(folder: Path) -> None:
    words = [*WORDS, *(f"word{i}" for i in range(9))]
    BertTokenizer(vocab={word: i for i, word in enumerate(words)}).save_pretrained(folder)


SPOILED = [
    (spoil_kind, "it is Blip2ForConditionalGeneration, and only BlipForConditionalGeneration can be used"),
    (spoil_head, "it is BlipForQuestionAnswering, and only"),
    (spoil_config, "no readable config.json"),
    (leave_only_a_pickle, r"its weights are a pickle \(.bin\).*convert it once.*save_pretrained"),
    (take_weights, "it holds no model.safetensors"),
    (take_one_tensor, "its weights lack 1 tensors, for example vision_model.embeddings.class_embedding"),
    (take_tokenizer, "it has no tokenizer"),
    (take_processor, "it has no picture processor"),
    (add_words, "its tokenizer knows 22 tokens, its weights 14"),
]


@pytest.mark.parametrize(("spoil", "words"), SPOILED, ids=[spoil.__name__ for spoil, _ in SPOILED])
def test_a_folder_that_cannot_caption_is_refused_in_words(copied_blip, spoil, words):
    assert why_no_captioner(copied_blip) == ""
    spoil(copied_blip)
    with pytest.raises(ValueError, match=f"blip cannot be used as a captioner: .*{words}"):
        load_captioner(copied_blip, "cpu", torch.float32)


def test_the_embedded_clip_is_no_captioner():
    with pytest.raises(ValueError, match="tiny-clip cannot be used as a captioner"):
        load_captioner(EMBEDDED_DIR / "tiny-clip", "cpu", torch.float32)


def test_a_name_that_is_neither_folder_nor_hub_id_says_what_to_give():
    with pytest.raises(ValueError, match="must be a folder or a hub id, got 'nowhere'"):
        load_captioner("nowhere", "cpu", torch.float32)


def test_damaged_weights_are_an_error(copied_blip):
    weights = copied_blip / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(OSError, match="blip cannot be read"):
        load_captioner(copied_blip, "cpu", torch.float32)


def test_the_advice_for_a_pickle_makes_a_folder_that_loads(copied_blip, picture):
    expected = load_captioner(copied_blip, "cpu", torch.float32).caption(picture)
    leave_only_a_pickle(copied_blip)
    advice = why_no_captioner(copied_blip).split("python -c '")[1].rstrip("'")
    subprocess.run([sys.executable, "-c", advice], cwd=copied_blip, check=True, timeout=280)
    assert load_captioner(copied_blip, "cpu", torch.float32).caption(picture) == expected


# --- the hub ------------------------------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """What huggingface.co answers about one model, for the client library: files by revision, requests."""

    revisions: dict[str, Path]
    author: str

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path == f"/api/models/{HUB_ID}":
            path += "/revision/main"
        api, pages = f"/api/models/{HUB_ID}", f"/{HUB_ID}/resolve/"
        if path.startswith(pages):
            self._send_file(path.removeprefix(pages))
        elif path.startswith(f"{api}/tree/"):
            self._send_json(
                [{"type": "file", "path": name, "size": 1, "oid": "0"} for name in self._names(path)]
            )
        elif path.startswith(f"{api}/revision/"):
            files = [{"rfilename": name} for name in self._names(path)]
            self._send_json({"id": HUB_ID, "sha": self._find(path)[0], "siblings": files})
        elif path == f"{api}/discussions":
            request = {"title": CONVERTED_TITLE, "status": "open", "num": 4, "isPullRequest": True}
            author = {"name": self.author}
            made = "2024-01-01T00:00:00.000Z"
            found = [
                {**request, "author": author, "createdAt": made, "repo": {"name": HUB_ID, "type": "model"}}
            ]
            self._send_json({"discussions": found, "count": 1, "start": 0})
        else:
            self.send_error(404)

    do_HEAD = do_GET  # noqa: N815

    def _find(self, path: str) -> tuple[str, Path]:
        """Return the commit that a path names, itself or by its branch or request, and its files."""
        commits = {hashlib.sha1(name.encode()).hexdigest(): name for name in self.revisions}
        return next((c, self.revisions[name]) for c, name in commits.items() if path.endswith((c, name)))

    def _names(self, path: str) -> list[str]:
        return sorted(file.name for file in self._find(path)[1].iterdir())

    def _send_file(self, path: str) -> None:
        revision, name = path.rsplit("/", 1)
        commit, folder = self._find(revision)
        content = (folder / name).read_bytes()
        self._send(content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit})

    def _send_json(self, value: object) -> None:
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(copied_blip: Path, tmp_path: Path, monkeypatch) -> Iterator[type[Hub]]:
    """Serve a model whose main branch has a pickle alone and whose request 4 has the safetensors too."""
    main = Path(shutil.copytree(copied_blip, tmp_path / "main"))
    leave_only_a_pickle(main)
    shutil.copy(main / "pytorch_model.bin", copied_blip)
    handler = type(
        "Served", (Hub,), {"revisions": {"main": main, "refs/pr/4": copied_blip}, "author": CONVERTER}
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    use_hub(monkeypatch, address, tmp_path / "cache")
    yield handler
    server.shutdown()
    server.server_close()


def downloaded(tmp_path: Path) -> set[str]:
    return {file.name for file in (tmp_path / "cache").glob("*/snapshots/*/*")}


def test_a_hub_model_is_fetched_once_as_safetensors_and_then_read_offline(
    hub, tmp_path, random_blip, picture, monkeypatch
):
    """Its main branch has a pickle alone: the hub's own conversion is taken."""
    expected = load_captioner(random_blip, "cpu", torch.float32).caption(picture)
    assert load_captioner(HUB_ID, "cpu", torch.float32).caption(picture) == expected
    assert "model.safetensors" in downloaded(tmp_path)
    assert "pytorch_model.bin" not in downloaded(tmp_path)
    set_offline(monkeypatch, on=True)
    captioner = load_captioner(HUB_ID, "cpu", torch.float32)
    assert captioner.name == HUB_ID
    assert captioner.caption(picture) == expected


def test_a_main_branch_with_safetensors_is_taken_as_it_is(hub, copied_blip, tmp_path):
    hub.revisions = {"main": copied_blip}
    load_captioner(HUB_ID, "cpu", torch.float32)
    assert "model.safetensors" in downloaded(tmp_path)


def test_a_conversion_by_somebody_else_is_not_taken(hub, tmp_path):
    hub.author = "somebody"
    with pytest.raises(ValueError, match=f"{HUB_ID} holds no safetensors weights, and pickles"):
        load_captioner(HUB_ID, "cpu", torch.float32)
    assert downloaded(tmp_path) == {"config.json"}


def test_of_a_hub_model_that_is_no_captioner_only_the_configuration_is_fetched(hub, tmp_path):
    spoil_kind(hub.revisions["main"])
    with pytest.raises(ValueError, match=f"{HUB_ID} cannot be used as a captioner: it is Blip2"):
        load_captioner(HUB_ID, "cpu", torch.float32)
    assert downloaded(tmp_path) == {"config.json"}


def test_without_a_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    use_hub(monkeypatch, CLOSED, tmp_path)
    with pytest.raises(
        OSError, match=f"(?s){HUB_ID} cannot be downloaded: .*connect once to fetch it, or give a folder"
    ):
        load_captioner(HUB_ID, "cpu", torch.float32)
    set_offline(monkeypatch, on=True)
    with pytest.raises(
        OSError, match=f"{HUB_ID} cannot be downloaded: offline mode is on: .*, or give a folder"
    ):
        load_captioner(HUB_ID, "cpu", torch.float32)
