"""The README promises only what there is: its flags, front matter, files and commands."""

import re
from pathlib import Path

import app
from sd_app import cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PINS = dict(re.findall(r"^(\w+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))


def test_the_table_of_flags_is_the_apps() -> None:
    told = set(re.findall(r"^\| `(--[\w-]+)` \| `(SD_APP_\w+)`", README, re.MULTILINE))
    flags = [action.option_strings[0] for action in app.make_parser({})._actions if action.dest != "help"]
    assert told == {(flag, "SD_APP_" + flag.strip("-").replace("-", "_").upper()) for flag in flags}


def test_the_front_matter_asks_for_the_gradio_that_is_pinned() -> None:
    front = README.split("---")[1]
    assert f"sdk_version: {PINS['gradio']}\n" in front
    assert (ROOT / re.findall(r"^app_file: (\S+)$", front, re.MULTILINE)[0]).is_file()


def test_the_commands_it_shows_are_understood() -> None:
    parser = cli.make_parser({})
    commands = re.findall(r"^python -m sd_app (.+)$", README, re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]
        assert parser.parse_args(words).command in {
            *cli.REQUESTS,
            *("interrogate", "models", "tokens", "download", "remove"),
        }


def test_every_file_it_lists_is_there() -> None:
    tree = README.partition("## Where things are")[2]
    names = re.findall(r"^  (\w+\.py|\w+/) ", tree, re.MULTILINE)
    assert len(names) >= 10
    assert [name for name in names if not (ROOT / "sd_app" / name).exists()] == []
