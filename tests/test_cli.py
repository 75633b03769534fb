"""The command line, on the embedded model: flags from fields, files, errors in one line, Ctrl+C."""

import io
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from sd_app import Cancelled, Img2ImgRequest, Step, Txt2ImgRequest, cli
from sd_app.cli import making
from sd_app.cli.running import run_as_job
from sd_app.metadata import from_infotext, read_infotext
from sd_app.queue import Job, JobQueue
from sd_app.requests import request_fields
from tests.checkpoint_files import write_checkpoint
from tests.waiting import step

QUICK = ("--steps", "2", "--scheduler", "DDIM")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in cli.SETTINGS:
        monkeypatch.delenv(f"SD_APP_{name.upper()}", raising=False)


def request_in(path: Path) -> Txt2ImgRequest:
    text = read_infotext(path)
    assert text is not None
    return from_infotext(text)


def test_a_prompt_becomes_the_file_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.png"
    code = cli.main(["txt2img", "an orange cat", "--seed", "7", "--output", str(output), *QUICK])
    assert code == 0
    assert capsys.readouterr().out == f"{output}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]
    request = request_in(output)
    assert (request.prompt, request.seed, request.num_inference_steps) == ("an orange cat", 7, 2)
    with Image.open(output) as image:
        assert image.size == (request.width, request.height)


def test_every_flag_reaches_the_picture(tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    flags = ["--negative", "dog", "--model", "tiny-sd", "--scheduler", "DPM++ 2M Karras", "--cfg", "4.5"]
    flags += [
        "--seed",
        "3",
        "--width",
        "64",
        "--height",
        "72",
        "--clip-skip",
        "2",
        "--guidance-end",
        "0.5",
        "--cache-interval",
        "2",
        "--num-inference-steps",
        "3",
    ]
    assert cli.main(["txt2img", 'cat, "a" :b\nc', *flags, "-o", str(output)]) == 0
    assert request_in(output) == Txt2ImgRequest(
        prompt='cat, "a" :b\nc',
        negative_prompt="dog",
        model="tiny-sd",
        scheduler="DPM++ 2M Karras",
        num_inference_steps=3,
        guidance_scale=4.5,
        seed=3,
        width=64,
        height=72,
        clip_skip=2,
        guidance_end=0.5,
        cache_interval=2,
    )


def test_several_pictures_are_numbered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["txt2img", "cat", "-n", "2", "--seed", "7", "-o", str(tmp_path / "out.png"), *QUICK])
    paths = [tmp_path / "out-0.png", tmp_path / "out-1.png"]
    assert code == 0
    assert capsys.readouterr().out.splitlines() == [str(path) for path in paths]
    assert [request_in(path).seed for path in paths] == [7, 8]


def test_without_output_pictures_go_to_the_outputs_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SD_APP_OUTPUTS_DIR", str(tmp_path / "from-environment"))
    assert cli.main(["txt2img", "cat", "--seed", "7", *QUICK]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.name == "00000-7.png"
    assert path.parent.parent == tmp_path / "from-environment"
    assert cli.main(["txt2img", "cat", "--seed", "7", "--outputs-dir", str(tmp_path / "flag"), *QUICK]) == 0
    assert Path(capsys.readouterr().out.strip()).parent.parent == tmp_path / "flag"


def test_img2img_starts_from_a_file(tmp_path: Path) -> None:
    start, output = tmp_path / "start.png", tmp_path / "out.png"
    Image.new("RGB", (80, 72), "red").save(start)
    flags = ["--init-image", str(start), "--strength", "1", "--resize-mode", "stretch", "-o", str(output)]
    assert cli.main(["img2img", "an orange cat", "--seed", "7", *flags, *QUICK]) == 0
    with Image.open(start) as init_image:
        request = from_infotext(read_infotext(output) or "", Img2ImgRequest, init_image=init_image)
    assert (request.width, request.height, request.strength) == (80, 72, 1.0)
    assert request.resize_mode == "stretch"


def test_inpaint_writes_the_picture_and_its_companions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start, mask, output = (tmp_path / name for name in ("start.png", "mask.png", "out.png"))
    Image.new("RGB", (80, 72), "red").save(start)
    Image.new("L", (80, 72)).save(mask)
    flags = ["--init-image", str(start), "--mask-image", str(mask), "--strength", "1", *QUICK]
    more = ["--outpaint", "8", "0", "0", "0", "--feather", "2", "--blend", "pyramid", "--color-match"]
    assert cli.main(["inpaint", "a cat", *flags, *more, "-o", str(output)]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    for name in ("out.png", "out-raw.png", "out-roundtrip.png"):
        with Image.open(tmp_path / name) as image:
            assert image.size == (88, 72)
            assert (
                "Mask blur: 2, Color match: True, Blend: pyramid, Outpaint: 8 0 0 0"
                in image.info["parameters"]
            )
    assert cli.main(["inpaint", "a cat", *flags, "-o", str(tmp_path / "same.png")]) == 0
    assert "mask is empty" in capsys.readouterr().err
    with Image.open(tmp_path / "same.png") as image, Image.open(start) as init_image:
        assert image.tobytes() == init_image.tobytes()
    assert cli.main(["inpaint", "a cat", "--init-image", str(start), *QUICK]) == 2
    assert "mask_image must be given" in capsys.readouterr().err


def test_a_seed_of_minus_one_is_drawn_anew(tmp_path: Path) -> None:
    seeds = set()
    for index in range(2):
        output = tmp_path / f"{index}.png"
        assert cli.main(["txt2img", "cat", "--seed", "-1", "-o", str(output), *QUICK]) == 0
        seeds.add(request_in(output).seed)
    assert len(seeds) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["txt2img", "cat", "--width", "513"], "width must be a multiple of 8, got 513 (try 512 or 520)"),
        (["txt2img", "cat", "--cfg", "nan"], "guidance_scale must be a number"),
        (["txt2img", "cat", "--seed", str(2**70)], "seed must be a whole number"),
        (["txt2img", "cat", "--seed", "cat"], "seed must be a whole number"),
        (["txt2img", "cat", "--steps", "0"], "num_inference_steps must be a whole number from 1"),
        (["txt2img", "cat", "--steps", "many"], "invalid int value: 'many'"),
        (["txt2img"], "required: prompt"),
        (["txt2img", "cat", "--model", "nobody"], "'nobody'"),
        (["txt2img", "cat", "--scheduler", "nobody"], "'nobody'"),
        (["txt2img", "cat", "--device", "abacus"], "device must be"),
        (["txt2img", "cat", "--output", "out.jpg"], "output must end in .png, got out.jpg (try out.png)"),
        (["txt2img", "cat", "--output", "nowhere/out.png"], "output must lie in a folder that exists"),
        ([], "required: COMMAND"),
        (["img2img", "cat"], "required: --init-image"),
        (["img2img", "cat", "--init-image", "nowhere.png"], "nowhere.png does not exist"),
        (
            ["img2img", "cat", "--init-image", "a.png", "--strength", "2"],
            "strength must be a number from 0 to 1",
        ),
        (["img2music", "cat"], "invalid choice: 'img2music'"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = cli.main([*arguments, *(["--outputs-dir", str(tmp_path)] if arguments else [])])
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_outputs_folder_is_an_error_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outputs").write_text("in the way")
    assert cli.main(["txt2img", "cat", "--outputs-dir", str(tmp_path / "outputs"), *QUICK]) == 2
    assert "cannot save in" in capsys.readouterr().err


def test_ctrl_c_keeps_the_finished_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Step] = []

    @contextmanager
    def interrupting_bar() -> Iterator[Callable[[Step], None]]:
        def show(step: Step) -> None:
            seen.append(step)
            begun = step.image_index and step.step  # the first pictures are finished, others have begun
            if begun and signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
                signal.raise_signal(signal.SIGINT)

        yield show

    monkeypatch.setattr(making, "progress_bar", interrupting_bar)
    before = signal.getsignal(signal.SIGINT)
    more = ("--seed", "1", "-o", str(tmp_path / "out.png"), "--steps", "60")
    code = cli.main(["txt2img", "cat", "-n", "6", *more])
    captured = capsys.readouterr()
    kept = seen[-1].image_index
    assert code == 130
    assert 0 < kept < 6
    assert captured.out.splitlines() == [str(tmp_path / f"out-{index}.png") for index in range(kept)]
    assert f"kept {kept} of 6" in captured.err
    assert len(list(tmp_path.iterdir())) == kept
    assert signal.getsignal(signal.SIGINT) is before


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_bar_move_and_a_log_file_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["txt2img", "cat", "-n", "2", "-o", str(tmp_path / "out.png"), "--steps", "20"]
    with monkeypatch.context() as patch:
        terminal = Terminal()
        patch.setattr(sys, "stderr", terminal)
        assert cli.main(arguments) == 0
    assert "100%" in terminal.getvalue()
    assert re.search(r"picture \d of 2, \d+\.\d it/s, \d+ s left", terminal.getvalue())
    assert cli.main(arguments) == 0
    assert "%" not in capsys.readouterr().err


def test_on_a_terminal_an_error_leaves_no_bar_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert cli.main(["txt2img", "cat", "--model", "nobody", "--outputs-dir", str(tmp_path)]) == 2
    assert "Starting" in terminal.getvalue()
    left = terminal.getvalue().rpartition("\r")[2]
    assert left.startswith("python -m sd_app txt2img: error: ")
    assert left.count("\n") == 1


def test_a_commands_work_is_a_job_of_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result, what the job failed of, and a stop before there was a result come out as they are."""
    states: list[str] = []
    ends = JobQueue._end

    def end(queue: JobQueue, job: Job, state: str) -> None:
        states.append(f"{job.state} {state}")
        ends(queue, job, state)

    monkeypatch.setattr(JobQueue, "_end", end)
    shown: list[str] = []

    def run(make: Callable[..., object], check: Callable[[], None] = lambda: None) -> object:
        def work(request: object, on_step: Callable[[Step], None]) -> object:
            on_step(step(text="Begun"))
            return make()

        return run_as_job(work, "asked", show=lambda step: shown.append(step.text), check=check)

    def cancelled() -> None:
        raise Cancelled

    def wrong() -> None:
        raise KeyError("too wide")

    assert run(lambda: "made") == "made"
    assert set(shown) == {"Begun"}
    with pytest.raises(KeyError, match="too wide"):
        run(wrong)
    with pytest.raises(Cancelled):
        run(lambda: "never", cancelled)
    assert cli.main(["txt2img", "cat", "-o", str(tmp_path / "out.png"), *QUICK]) == 0
    assert cli.main(["txt2img", "cat", "-o", str(tmp_path / "out.png"), "--model", "nobody"]) == 2
    ended = ("done", "failed", "stopped", "done", "failed")
    assert states == [f"running {state}" for state in ended]


def test_models_are_listed_with_their_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models"]) == 0
    heads, *rows = capsys.readouterr().out.splitlines()
    assert heads.split() == ["NAME", "SIZE", "STEPS", "GUIDANCE", "SCHEDULER", "TITLE"]
    assert rows[0].split()[:3] == ["tiny-sd", "128x128", "25"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows allows no such names")
def test_a_files_name_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_checkpoint(tmp_path / "a\n\x1b[31mred.safetensors", "sd1")
    assert cli.main(["models", "--models-dir", str(tmp_path)]) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["tiny-sd", "a??[31mred"]


def test_every_field_of_every_request_has_a_flag_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command, (request_type, _) in cli.REQUESTS.items():
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        shown = capsys.readouterr().out
        for name, known in request_fields(request_type).items():
            assert name.replace("_", "-") in shown
            assert " ".join(known.help.split()[:2]) in " ".join(shown.split())


def test_help_loads_no_torch() -> None:
    code = (
        "import sys\nfrom sd_app import cli\n"
        "try: cli.main(['txt2img', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'gradio', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--guidance-scale" in done.stdout
    assert done.stderr.strip() == "[]"


def test_the_package_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sd_app", "models"], capture_output=True, text=True, check=True
    )
    assert "tiny-sd" in done.stdout
    failed = subprocess.run(
        [sys.executable, "-m", "sd_app", "txt2img"], capture_output=True, text=True, check=False
    )
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "Traceback" not in failed.stderr
