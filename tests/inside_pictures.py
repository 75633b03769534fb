"""Make the README's pictures of the inside: python tests/inside_pictures.py .github

film.webp: from noise to picture, as noisy, without the words, with them, and as guided. words-sheet.png: what
each word did, beside what attention claims and the picture without the word. guidance.png: guidance taken
apart. All of one picture of the embedded model.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from PIL import Image

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.inside.again import without_words
from sd_app.inside.attention_words import attention_words
from sd_app.inside.film import NOISY, first_frames, frames, label_of
from sd_app.inside.guidance import guidance_push
from sd_app.inside.look import Look
from sd_app.inside.prompt_words import words_in
from sd_app.inside.sheets import heat, sheet, shown
from sd_app.inside.word_effects import word_effects
from sd_app.probes.recording import CONDITIONAL, GUIDED, UNCONDITIONAL
from sd_app.requests.text import TEXT

REQUEST = Txt2ImgRequest(prompt="a medium green cat on the left on the beach, flat style", seed=7)
WORDS = ("green", "cat", "on", "left", "beach")
STEPS = (0, 2, 6, 12)  # of the guidance
SMALL, LARGE = (128, 128), (192, 192)  # pixels


def main() -> None:
    """Make all three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    studio = Studio(Settings())
    look = studio.look(studio.record(REQUEST))
    film_sheet(look).save(folder / "film.webp", quality=82, method=6)
    words_sheet(look).save(folder / "words-sheet.png", optimize=True)
    guidance_sheet(look).save(folder / "guidance.png", optimize=True)


def film_sheet(look: Look) -> Image.Image:
    """Draw nine frames of each row."""
    recording = look.recording
    chosen = first_frames(recording)
    titles = {
        NOISY: "The noisy latents, decoded",
        UNCONDITIONAL: "What the model expects without the words",
        CONDITIONAL: "What the words ask for",
        GUIDED: "As guided: pushed too far on purpose",
    }
    return stacked(
        [
            sheet(
                [
                    (label_of(recording, frame), shown(picture, SMALL))
                    for frame, picture in zip(chosen, frames(look, row, chosen), strict=True)
                ],
                title=title,
                columns=len(chosen),
            )
            for row, title in titles.items()
        ]
    )


def words_sheet(look: Look) -> Image.Image:
    """Draw what five words did, what attention claims of them, and the picture without each."""
    recording, found = look.recording, words_in(look)
    picture = ("the picture", shown(recording.decoded, LARGE))
    effects, attention = word_effects(look), attention_words(recording, found)
    effect_limit = float(np.quantile(effects.maps.max(axis=0), 0.99))
    of_text = [number for number, kind in enumerate(attention.kinds) if kind == TEXT]
    attention_limit = float(attention.maps[of_text].max())
    effect_maps = dict(zip(effects.labels, effects.maps, strict=True))
    attention_maps = dict(zip(attention.labels, attention.maps, strict=True))
    words = [word for word in found.words if word.label in WORDS]
    return stacked(
        [
            sheet(
                [picture, *((word, heat(effect_maps[word], effect_limit, LARGE)) for word in WORDS)],
                title="What each word did: how far the predicted picture moves without it",
            ),
            sheet(
                [picture, *((word, heat(attention_maps[word], attention_limit, LARGE)) for word in WORDS)],
                title="What attention claims: how much each place reads of the word",
            ),
            sheet(
                [
                    picture,
                    *((one.label, shown(one.picture, LARGE)) for one in without_words(look, words)),
                ],
                title="The same noise without the word",
            ),
        ]
    )


def guidance_sheet(look: Look) -> Image.Image:
    """Draw both predictions, what lies between them, and where guidance goes, at four steps."""
    recording, push = look.recording, guidance_push(look.recording)
    rows = {row: frames(look, row, STEPS) for row in (UNCONDITIONAL, CONDITIONAL, GUIDED)}
    tiles: list[tuple[str, Image.Image]] = []
    for number, step in enumerate(STEPS):
        values = push.maps[step]
        tiles += [
            (f"step {step + 1}: without the words", shown(rows[UNCONDITIONAL][number], LARGE)),
            ("with them", shown(rows[CONDITIONAL][number], LARGE)),
            (f"where guidance pushes (bright: {values.max():.1f})", heat(values, float(values.max()), LARGE)),
            (f"{recording.guidance_scale:g} times that way", shown(rows[GUIDED][number], LARGE)),
        ]
    return sheet(tiles, title="Guidance taken apart: u + w (c - u)", columns=4)


def stacked(sheets: list[Image.Image]) -> Image.Image:
    """Put sheets of one width below each other."""
    page = Image.new("RGB", (sheets[0].width, sum(one.height for one in sheets)), "white")
    upper = 0
    for one in sheets:
        page.paste(one, (0, upper))
        upper += one.height
    return page


if __name__ == "__main__":
    main()
