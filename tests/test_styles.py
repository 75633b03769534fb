"""Styles in a CSV file as AUTOMATIC1111 writes it: applied in order, and none lost, broken lines too."""

from dataclasses import replace
from pathlib import Path

import pytest

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.cli import main
from sd_app.metadata import from_infotext, parse_infotext, read_infotext
from sd_app.templates import Style, apply_styles, delete_style, read_styles, save_style

GOOD = (
    "\ufeffname,prompt,negative_prompt\r\n"
    'Oil,"an oil painting of {prompt}, thick ""impasto""",photo\r\n'
    'Long,"two\nlines",\r\n'
    "Evening, warm light,\r\n"
)
BROKEN = (
    'Bad,"never closed,x\r\n' + "Many,a,b,c,d\r\n" + ",no name,\r\n" + "\r\nOil,again {prompt},\r\nLast,z\r\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "styles.csv").write_bytes((GOOD + BROKEN).encode())
    return tmp_path / "styles.csv"


def test_a_file_is_read_with_quotes_line_breaks_and_mark(path: Path) -> None:
    path.write_bytes(GOOD.encode())
    found = read_styles(path)
    assert found.problems == ()
    assert list(found.styles.values()) == [
        Style(name="Oil", prompt='an oil painting of {prompt}, thick "impasto"', negative_prompt="photo"),
        Style(name="Long", prompt="two\nlines"),
        Style(name="Evening", prompt="warm light"),
    ]


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("name,text\nA,b\n", Style(name="A", prompt="b")),
        ("negative_prompt,name,prompt\nc,A,b\n", Style(name="A", prompt="b", negative_prompt="c")),
        ("A,b,c\n", Style(name="A", prompt="b", negative_prompt="c")),
        ("name,prompt,negative_prompt\rA,b,c\r", Style(name="A", prompt="b", negative_prompt="c")),
        (
            "name,prompt,negative_prompt\nA,b\u2028d,c",
            Style(name="A", prompt="b\u2028d", negative_prompt="c"),
        ),
    ],
)
def test_other_forms_of_the_file_are_read(path: Path, text: str, style: Style) -> None:
    path.write_bytes(text.encode())
    assert read_styles(path).styles == {"A": style}


def test_broken_lines_are_said_and_the_others_are_read(path: Path) -> None:
    found = read_styles(path)
    assert list(found.styles) == ["Oil", "Long", "Evening", "Last"]
    assert found.styles["Oil"].prompt == "again {prompt}"
    said = [problem.split(" of styles.csv ")[0] for problem in found.problems]
    assert said == ["Line 6", "Line 7", "Line 8", "Line 10"]
    for words, problem in zip(
        ("not closed", "5 cells instead of 3", "no name", "the later one counts"), found.problems, strict=True
    ):
        assert words in problem


def test_saving_and_deleting_leaves_every_other_line_as_it_is(path: Path) -> None:
    new = Style(name="New, one", prompt='a "b"\n{prompt}', negative_prompt="é")
    save_style(path, new)
    text = path.read_bytes().decode()
    assert text.startswith(GOOD + BROKEN)
    assert read_styles(path).styles["New, one"] == new
    save_style(path, replace(new, prompt="x"), old_name="Evening")
    assert "Evening" not in read_styles(path).styles
    assert 'Bad,"never closed,x' in path.read_bytes().decode()
    delete_style(path, "New, one")
    assert path.read_bytes().decode() == (GOOD + BROKEN).replace("Evening, warm light,\r\n", "")
    with pytest.raises(ValueError, match="there is no style New, one"):
        delete_style(path, "New, one")
    with pytest.raises(ValueError, match="the style has no name"):
        save_style(path, Style(name=" "))


def test_a_file_is_begun_with_the_first_style(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "styles.csv"
    assert read_styles(path).styles == {}
    save_style(path, Style(name="A", prompt="b"))
    assert path.read_bytes() == "\ufeffname,prompt,negative_prompt\r\nA,b,\r\n".encode()
    assert [one.name for one in path.parent.iterdir()] == ["styles.csv"]


def test_styles_are_applied_in_order() -> None:
    styles = {
        "Oil": Style(name="Oil", prompt="oil of {prompt}!", negative_prompt="photo"),
        "End": Style(name="End", prompt="sharp", negative_prompt="no {prompt}"),
        "Empty": Style(name="Empty"),
    }
    assert apply_styles("a cat", "", ["Oil", "End"], styles) == ("oil of a cat!, sharp", "no photo")
    assert apply_styles("a cat", "b", ["End", "Oil"], styles) == ("oil of a cat, sharp!", "no b, photo")
    assert apply_styles("a cat ", "b", ["Empty"], styles) == ("a cat ", "b")
    with pytest.raises(ValueError, match=r"got oil \(there is Oil"):
        apply_styles("a", "", ["oil"], styles)


def test_a_styled_picture_says_so_and_its_parameters_make_it_again(
    random_settings: Settings, tmp_path: Path, path: Path
) -> None:
    studio = Studio(replace(random_settings, outputs_dir=tmp_path / "outputs", prompts_dir=tmp_path))
    asked = Txt2ImgRequest(
        prompt="a {cat|dog}", styles=("Long", "Evening"), seed=3, num_images=2, num_inference_steps=2
    )
    made = studio.txt2img(asked)
    for number, file in enumerate(made.paths):
        text = read_infotext(file) or ""
        said = parse_infotext(text)
        assert said.prompt in ("a cat, two\nlines, warm light", "a dog, two\nlines, warm light")
        assert (said.fields["Styles"], said.fields["Template"]) == ("Long, Evening", "a {cat|dog}")
        assert made.request_of(number) == from_infotext(text)
        (again,) = studio.txt2img(from_infotext(text)).paths
        assert again.read_bytes() == file.read_bytes()
    with pytest.raises(ValueError, match="styles must be names of styles that are here, got Gone"):
        studio.txt2img(replace(asked, styles=("Gone",)))


def test_the_command_lists_them_and_says_what_is_broken(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["styles", "--prompts-dir", str(path.parent)]) == 0
    shown = capsys.readouterr()
    assert "Last  z" in shown.out
    assert "Line 6 of styles.csv is not read" in shown.err
