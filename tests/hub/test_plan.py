"""What is asked of the hub before a download, and what is refused. Against a server on this machine."""

import json
import re
import time

import pytest

from sd_app import Settings, Studio
from sd_app.hub.hub_cache import hub_cache
from sd_app.hub.plan import read_hub_id
from tests.hub.server import CLOSED, HubServer, set_offline
from tests.hub.steps import ENCODER, HUB_ID, UNET, repo_of
from tests.limits import PATIENCE


def test_the_plan_says_exactly_what_will_be_fetched_and_writes_nothing(hub, owner):
    repo_of(hub).files |= {
        "unet/diffusion_pytorch_model.bin": b"x" * 999,
        "README.md": b"hello",
        "a.ckpt": b"x",
    }
    plan = owner.plan_download(HUB_ID)
    assert not hub_cache().exists()
    assert (plan.pipeline, plan.family, plan.native_size) == ("StableDiffusionPipeline", "sd1", 64)
    assert (plan.license, plan.gated, plan.only_inpaints) == ("creativeml-openrail-m", False, False)
    assert plan.free_bytes > 1e6
    paths = [file.path for file in plan.files]
    assert paths[0] == "model_index.json"
    assert [path for path in paths if path.endswith(".safetensors")] == paths[-3:]
    assert not {"README.md", "a.ckpt", "unet/diffusion_pytorch_model.bin"} & set(paths)
    assert plan.missing_bytes == plan.total_bytes
    hub.asked.clear()
    owner.download(plan)
    assert hub.sent == plan.total_bytes
    assert sorted(asked.path for asked in hub.asked) == sorted(paths)
    assert owner.plan_download(HUB_ID).missing_bytes == 0


@pytest.mark.parametrize(
    "typed",
    [HUB_ID, f" {HUB_ID}/ ", f"https://huggingface.co/{HUB_ID}", f"hf.co/{HUB_ID}/tree/main?x=1"],
)
def test_an_id_may_be_typed_as_a_page_address(typed):
    assert read_hub_id(typed) == HUB_ID


@pytest.mark.parametrize(
    "typed", ["", "name", "a/b/c", "../etc", "/etc/passwd", "a/..", "./a", "a b/c", "a/b\0"]
)
def test_what_is_no_id_is_refused(typed, owner):
    with pytest.raises(ValueError, match=r"hub id must be owner/name|there is no public model"):
        owner.plan_download(typed)


def test_half_precision_and_shards_are_chosen_with_their_own_index(hub, owner):
    files = repo_of(hub).files
    half = "text_encoder/model.fp16.safetensors"
    files[half] = files[ENCODER]
    weights = files.pop(UNET)
    shards = [f"unet/diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    files |= dict.fromkeys(shards, weights)
    index = "unet/diffusion_pytorch_model.safetensors.index.json"
    files[index] = json.dumps(
        {"weight_map": {"a": shards[0].split("/")[1], "b": shards[1].split("/")[1]}}
    ).encode()
    files["vae/diffusion_pytorch_model.safetensors.index.json"] = b"{}"
    paths = {file.path for file in owner.plan_download(HUB_ID).files}
    assert {half, index, *shards} <= paths
    assert not {ENCODER, "vae/diffusion_pytorch_model.safetensors.index.json"} & paths


# -- what is refused, before any weights


def refused(owner: Studio, hub: HubServer, error: type[Exception] = ValueError) -> str:
    with pytest.raises(error) as caught:
        owner.download(HUB_ID)
    assert [asked.path for asked in hub.asked if asked.path.endswith(".safetensors")] == []
    return str(caught.value)


def test_another_family_is_refused_by_name(hub, owner):
    repo_of(hub).files["model_index.json"] = b'{"_class_name": "FluxPipeline"}'
    assert "owner/some-model cannot be used: it is a FluxPipeline" in refused(owner, hub)


def test_pickles_only_are_refused(hub, owner):
    files = repo_of(hub).files
    files["unet/diffusion_pytorch_model.bin"] = files.pop(UNET)
    assert "no safetensors weights for its unet, and pickles" in refused(owner, hub)


def test_a_repository_of_one_file_is_refused_with_the_way_to_use_it(hub, owner):
    repo_of(hub).files = {"model.safetensors": b"x"}
    assert "download that into models/" in refused(owner, hub)


def test_code_of_its_own_is_never_run(hub, owner):
    index = json.loads(repo_of(hub).files["model_index.json"])
    repo_of(hub).files["model_index.json"] = json.dumps({**index, "unet": ["mine", "MyUNet"]}).encode()
    assert "its unet needs code of its own" in refused(owner, hub)


def test_an_unknown_id_is_refused(hub, owner):
    hub.repos.clear()
    assert f"there is no public model {HUB_ID}" in refused(owner, hub)


def test_a_gated_model_says_where_to_accept_and_a_token_opens_it(hub, owner, monkeypatch):
    repo_of(hub).gated, repo_of(hub).token = True, "hf_good"
    words = refused(owner, hub)
    assert f"asks for its terms to be accepted: do so on huggingface.co/{HUB_ID}" in words
    monkeypatch.setenv("HF_TOKEN", "hf_bad")
    assert "asks for its terms" in refused(owner, hub)
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert owner.plan_download(HUB_ID).gated
    assert owner.download(HUB_ID).name == HUB_ID
    assert {asked.token for asked in hub.asked[-5:]} == {"hf_good"}


def test_a_disk_that_is_too_small_is_refused(hub, owner):
    repo_of(hub).sizes[UNET] = 10**16
    words = refused(owner, hub)
    assert re.search(r"needs 100\d+\.\d\d GB more, and .* has .* free", words)
    assert "HF_HUB_CACHE" in words


def test_offline_is_said_within_seconds(owner, monkeypatch, caplog, capfd):
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    started = time.monotonic()
    said = f"{HUB_ID} cannot be downloaded: the hub cannot be reached (connect once to fetch it, or give a"
    with pytest.raises(OSError, match=re.escape(said)):
        owner.download(HUB_ID)
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")  # no library says it a second time
    assert time.monotonic() - started < PATIENCE


def test_offline_mode_is_named_with_the_variable_that_set_it(hub, owner, monkeypatch):
    set_offline(monkeypatch, on=True)
    with pytest.raises(
        OSError, match=r"offline mode is on: HF_HUB_OFFLINE is set \(unset it and start again"
    ):
        owner.download(HUB_ID)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "yes")
    with pytest.raises(OSError, match="offline mode is on: TRANSFORMERS_OFFLINE is set"):
        owner.plan_download(HUB_ID)
    assert hub.asked == []


def test_visitors_add_and_remove_nothing(hub, tmp_path):
    shared = Studio(Settings(models_dir=tmp_path, mode="shared"))
    for call in (shared.plan_download, shared.download, shared.remove_download):
        with pytest.raises(ValueError, match="local mode"):
            call(HUB_ID)
    assert hub.asked == []
