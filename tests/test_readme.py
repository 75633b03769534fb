"""The README and its pages promise only what there is: flags, front matter, commands, folders, links."""

import re
from pathlib import Path

import pytest

import app
from sd_app import __version__, cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted((ROOT / ".github" / "docs").glob("*.md"))
PAPERS = [ROOT / "README.md", *PAGES, *sorted((ROOT / ".github").glob("*.md"))]
CARDS = sorted((ROOT / "models").glob("tiny-*/README.md"))
TEXT = "\n".join(path.read_text("utf-8") for path in [ROOT / "README.md", *PAGES])
PINS = dict(re.findall(r"^(\w+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PARENTS = {".ci", ".github", "models", "sd_app", "tests"}


def test_the_table_of_flags_is_the_apps() -> None:
    told = set(re.findall(r"^\| `(--[\w-]+)` \| `(SD_APP_\w+)`", TEXT, re.MULTILINE))
    flags = [action.option_strings[0] for action in app.make_parser({})._actions if action.dest != "help"]
    assert told == {(flag, "SD_APP_" + flag.strip("-").replace("-", "_").upper()) for flag in flags}


def test_the_front_matter_asks_for_the_gradio_that_is_pinned() -> None:
    front = README.split("---")[1]
    assert f"sdk_version: {PINS['gradio']}\n" in front
    assert (ROOT / re.findall(r"^app_file: (\S+)$", front, re.MULTILINE)[0]).is_file()
    description = re.findall(r"^short_description: (.+)$", front, re.MULTILINE)[0]
    assert len(description) <= 60  # the hub refuses a longer one


def test_the_commands_it_shows_are_understood() -> None:
    parser = cli.make_parser({})
    commands = re.findall(r"^(?:python -m sd_app|glass-box) (.+)$", TEXT, re.MULTILINE)
    assert len(commands) >= 10
    for command in commands:
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]
        assert parser.parse_args(words).command in {
            *cli.REQUESTS,
            *("interrogate", "inside", "info", "history", "styles", "models", "tokens"),
            *("download", "remove", "addons"),
        }


def test_every_folder_and_file_on_the_map_is_there_and_every_folder_is_on_it() -> None:
    tree = README.partition("## Where things are")[2]
    names = set(re.findall(r"^  (\w+\.py|\w+/) ", tree, re.MULTILINE))
    assert [name for name in names if not (ROOT / "sd_app" / name).exists()] == []
    folders = {f"{path.parent.name}/" for path in (ROOT / "sd_app").glob("*/*.py")}
    assert folders - names == set()
    tops = set(re.findall(r"^([\w.]+/?) ", tree, re.MULTILINE)) - {"outputs/"}
    assert {"app.py", "models/", "tests/", ".github/"} <= tops
    assert [name for name in tops if not (ROOT / name).exists()] == []


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len(README.splitlines()) < 200


def test_every_page_can_be_reached_from_the_readme() -> None:
    papers = [path for path in PAPERS if path.name != "README.md"]
    assert [path.name for path in papers if f"({path.relative_to(ROOT)})" not in README] == []


@pytest.mark.parametrize("path", [*PAPERS, *CARDS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(path: Path) -> None:
    text = FENCED.sub("", path.read_text("utf-8"))
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert dead_links(path, links) == []


def test_a_dead_link_is_found() -> None:
    page = ROOT / ".github" / "docs" / "page.md"
    links = ["none.md", "../../../elsewhere.md", "files.md#none", "#none"]
    links += ["files.md", "#inpaint", "page.md#inpaint"]
    assert dead_links(page, links) == links[:4]


def test_every_file_named_in_code_marks_is_there() -> None:
    papers = "\n".join(path.read_text("utf-8") for path in PAPERS)
    named = re.findall(r"`(\.?\w+/[\w./-]+\.(?:py|md|toml|txt|yml))[ `]", papers)
    assert [name for name in named if name.split("/")[0] in PARENTS and not (ROOT / name).exists()] == []


def test_the_changelog_begins_with_this_version() -> None:
    changes = (ROOT / ".github" / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## (\S+)", changes, re.MULTILINE)[0] == __version__
    assert f"Version: sd_app {__version__}\n" in TEXT


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_a_models_card_says_its_license_and_what_it_is_for(path: Path) -> None:
    front = path.read_text("utf-8").split("---")[1]
    for field in ("license: apache-2.0", "library_name: ", "pipeline_tag: ", "tags:"):
        assert f"\n{field}" in front


def test_every_embedded_model_has_a_card() -> None:
    folders = {path for path in (ROOT / "models").glob("tiny-*") if path.is_dir()}
    assert {path.parent for path in CARDS} == folders


def dead_links(page: Path, links: list[str]) -> list[str]:
    """Return the links of a page that lead to no file of the project, or to no heading of it."""
    dead = []
    for link in links:
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        is_there = target.is_relative_to(ROOT) and target.exists()
        if not is_there or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub and Hugging Face make of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
