"""All texts that people read on the page, in one list: tests/page_texts.txt.

    python -m tests.page_texts

writes it anew: from the built page (labels, help, placeholders, buttons, choices, markup), from the scripts'
string literals, and from those of the Python behind the page: errors, remarks, progress. Whoever changes a
text reads the list's changes aloud; tests/test_page_texts.py compares, and knows the words that were odd.
"""

import ast
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "sd_app"
LIST = Path(__file__).with_suffix(".txt")
HEAD = "Texts of the page, by tab. `python -m tests.page_texts` writes this list; read its changes aloud."
EVERYWHERE, SHARED, BEHIND = "Header and page", "On several tabs", "Errors, remarks and progress from sd_app/"

READ_ATTRIBUTES = {"title", "aria-label", "alt", "placeholder", "aria-description"}
READ_PROPS = ("label", "info", "placeholder", "submit_btn", "stop_btn")
NOT_SHOWN = {"tiny"}  # folders of sd_app that nobody meets on the page: the training of the embedded models
# Arguments that hold texts whatever they look like, one word too.
READ_ARGUMENTS = {"label", "help", "long_label", "placeholder", "info", "remedy", "unset", "title", "line"}
# What nobody reads: patterns, names of styles, our own mistakes.
UNREAD_CALLS = {"compile", "match", "sub", "search", "fullmatch", "findall", "finditer", "AssertionError"}
UNREAD_ARGUMENTS = {"elem_classes", "elem_id", "js", "css", "description"}
UNREAD = re.compile(
    r"^(\(|hsl|pre, |public, |const |<link)|px$|^0 0 |^rgb|^(Enter|Escape|Files)$"
)  # styles, selectors, headers, keys
LETTER = re.compile(r"[^\W\d_]")
PLACE = re.compile(r"\{[^{}]*\}")  # of a value in a text
WORDS = re.compile(r"[^\W\d_][\w’'-]*[,.:;!?)”\"]*\s+\(?[“\"]?[^\W_]")  # two words and a gap between them
ONE_WORD = re.compile(r"[A-Z][a-z]+[.…!?]?\s*$")  # on a button, or of a state: Undo, Starting…

Texts = Mapping[str, list[str]]  # heading -> lines


def built_texts() -> dict[str, list[str]]:
    """Return the texts of the page as Gradio is handed it, by tab."""
    from sd_app import Settings, Studio
    from sd_app.ui import build_ui

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(models_dir=Path(folder), outputs_dir=Path(folder), device="cpu")
        config = build_ui(Studio(settings)).get_config_file()
    components = {one["id"]: one for one in config["components"]}
    found: dict[str, list[str]] = {}
    for tab, number in _by_tab(config["layout"], components, EVERYWHERE):
        found.setdefault(tab, []).extend(_component_texts(components[number]))
    return found


def _by_tab(layout: Any, components: Mapping[int, Any], tab: str) -> Iterator[tuple[str, int]]:
    """Yield every component of the page with the tab it lies in, in the page's order."""
    for child in layout.get("children", ()):
        component = components[child["id"]]
        inside = tab
        if component["type"] == "tabitem":
            label = component["props"]["label"]
            inside = label if tab == EVERYWHERE else f"{tab}: {label}"
        yield inside, child["id"]
        yield from _by_tab(child, components, inside)


def _component_texts(component: Mapping[str, Any]) -> Iterator[str]:
    props, kind = component["props"], component["type"]
    for name in READ_PROPS:
        if isinstance(text := props.get(name), str) and text:
            yield f"{name}: {text}"
    value = props.get("value")
    if kind == "button":
        yield f"button: {value}"
    if kind in ("html", "markdown"):
        for text in (props.get("html_template"), value):
            yield from _markup_texts(text if isinstance(text, str) else "")
        if isinstance(value, list):
            yield from (f"example: {text}" for text in value if isinstance(text, str))
    if kind in ("radio", "checkboxgroup", "dropdown"):
        chosen = (shown for shown, choice in props.get("choices") or () if shown != choice)
        yield from (f"choice: {text}" for text in chosen)


class _Markup(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [f"{name}: {value}" for name, value in attrs if name in READ_ATTRIBUTES and value]

    def handle_data(self, data: str) -> None:
        if LETTER.search(data) and "${" not in data:
            self.texts.append(f"text: {' '.join(data.split())}")


def _markup_texts(markup: str) -> list[str]:
    parser = _Markup()
    parser.feed(markup)
    return parser.texts


def script_texts(source: str) -> list[str]:
    """Return the string literals of a script that read as words; ${...} stands as {...}."""
    return list(dict.fromkeys(text for text in _script_strings(source) if _is_read(text, True)))


def _script_strings(source: str) -> Iterator[str]:
    """Yield a script's string literals in their order: quoted ones and templates, none of a comment."""
    at = 0
    while at < len(source):
        if source.startswith("//", at):
            at = source.find("\n", at) % (len(source) + 1)
        elif source.startswith("/*", at):
            at = source.index("*/", at) + 2
        elif source[at] == "/" and (
            pattern := re.match(r"/(?![*/ ])(?:\\.|\[[^\]\n]*\]|[^/\\\n])+/", source[at:])
        ):
            at += pattern.end() if _begins_pattern(source, at) else 1
        elif source[at] in "\"'":
            end = _end_of_string(source, at)
            yield source[at + 1 : end]
            at = end + 1
        elif source[at] == "`":
            text, inside, at = _template(source, at + 1)
            yield text
            yield from _script_strings(inside)
        else:
            at += 1


def _begins_pattern(source: str, at: int) -> bool:
    """Tell whether a slash begins a regular expression: after an operator, and not after a value."""
    return source[:at].rstrip()[-1:] in set("(,=:[!&|?{};")


def _end_of_string(source: str, at: int) -> int:
    quote, at = source[at], at + 1
    while source[at] != quote:
        at += 2 if source[at] == "\\" else 1
    return at


def _template(source: str, at: int) -> tuple[str, str, int]:
    """Return a template's text, the code inside its ${...}, and where it ends."""
    text, code = "", ""
    while source[at] != "`":
        if not source.startswith("${", at):
            text, at = text + source[at], at + 1
            continue
        depth, begin = 1, at + 2
        at = begin
        while depth:
            depth += {"{": 1, "}": -1}.get(source[at], 0)
            at += 1
        text, code = f"{text}{{{source[begin : at - 1]}}}", f"{code}{source[begin : at - 1]};"
    return text, code, at + 1


def python_texts(source: str, *, one_word: bool) -> list[str]:
    """Return the string literals of a module that read as words: errors, remarks, states; with `one_word`
    also those of a single word with a capital letter. Docstrings, patterns and names are left out.
    """
    tree = ast.parse(source)
    unread, read = set(_unread(tree)), set(_read_arguments(tree))
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        text = None if id(node) in unread else _text_of(node)
        if text is None:
            continue
        texts = script_texts(text) if "=>" in text else _markup_texts(text) if text[:1] == "<" else [text]
        if texts == [text] and not (_is_read(text, one_word) or (id(node) in read and LETTER.search(text))):
            continue
        found += [(getattr(node, "lineno", 0), " ".join(one.split())) for one in texts]
    return list(dict.fromkeys(text for _, text in sorted(found, key=lambda one: one[0])))


def _unread(tree: ast.AST) -> Iterator[int]:
    """Yield what holds no text to read: docstrings, patterns, names of styles, the parts of an f-string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield id(node.value)
        if isinstance(node, ast.JoinedStr):
            yield from (id(part) for part in node.values)
        if isinstance(node, ast.FormattedValue) and node.format_spec:
            yield from (id(part) for part in ast.walk(node.format_spec))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in UNREAD_CALLS:
            yield from (id(part) for argument in node.args for part in ast.walk(argument))
        if isinstance(node, ast.keyword) and node.arg in UNREAD_ARGUMENTS:
            yield from (id(part) for part in ast.walk(node.value))
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            yield from (id(part) for part in ast.walk(node.annotation))
        if isinstance(node, ast.Assert) and node.msg:
            yield from (id(part) for part in ast.walk(node.msg))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in UNREAD_CALLS:
            yield from (id(part) for part in ast.walk(node))
        if isinstance(node, ast.Dict):  # keys of other programs' settings
            yield from (id(key) for key in node.keys if key is not None)
        if isinstance(node, ast.Compare | ast.Subscript):
            yield from (id(part) for part in ast.walk(node))


def _read_arguments(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in READ_ARGUMENTS:
            yield id(node.value)
        if isinstance(node, ast.keyword) and node.arg == "choices" and isinstance(node.value, ast.Dict):
            yield from (id(value) for value in node.value.values)


def _text_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(_part(part) for part in node.values)
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else None


def _part(part: ast.AST) -> str:
    if isinstance(part, ast.FormattedValue):
        return f"{{{ast.unparse(part.value)}}}"
    return str(part.value) if isinstance(part, ast.Constant) else ""


def _is_read(text: str, one_word: bool) -> bool:
    """Tell whether a literal reads as words: two and a gap between them, or one with a capital letter."""
    if UNREAD.search(text) or not re.search("[a-z]{2}", PLACE.sub("", text)):
        return False
    return bool(WORDS.search(PLACE.sub("X", text)) or (one_word and ONE_WORD.match(PLACE.sub("", text))))


def page_texts() -> dict[str, list[str]]:
    """Return all texts by heading: the tabs as they stand, what several share, then what is said later."""
    built = built_texts()
    often = Counter(line for lines in built.values() for line in dict.fromkeys(lines))
    shared = [line for line, count in often.items() if count > 1]
    found = {tab: [line for line in dict.fromkeys(lines) if often[line] == 1] for tab, lines in built.items()}
    found[SHARED] = shared
    for path in sorted(APP.rglob("*.js")):
        found[f"Script {path.relative_to(APP).as_posix()}"] = script_texts(path.read_text("utf-8"))
    for path in sorted(APP.rglob("*.py")):
        inside = path.relative_to(APP)
        if inside.parts[0] not in NOT_SHOWN:
            page = inside.parts[0] == "ui" and path.name not in ("__init__.py", "theme.py")
            found[inside.as_posix()] = python_texts(path.read_text("utf-8"), one_word=page)
    found["app.py"] = python_texts((ROOT / "app.py").read_text("utf-8"), one_word=False)
    return {heading: lines for heading, lines in found.items() if lines}


def written(texts: Texts) -> str:
    """Return the list as it stands in its file."""
    blocks = [f"== {heading}\n" + "\n".join(lines) for heading, lines in texts.items()]
    return "\n\n".join([HEAD, *blocks]) + "\n"


if __name__ == "__main__":
    LIST.write_text(written(page_texts()), encoding="utf-8")
    print(f"Written: {LIST.relative_to(ROOT)}")
