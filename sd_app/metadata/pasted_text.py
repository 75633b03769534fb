"""An infotext as websites, chats and keyboards hand it on, brought back to the form its program wrote.

Only labels and the line of settings are touched, and what cannot be seen; the words of a prompt stay.
"""

import html
import re

from .settings_text import MIN_SETTINGS

_LABELS = (
    *("Positive prompt", "Negative prompt", "Prompt", "Steps", "Sampler", "CFG scale", "Seed", "Size"),
    *("Sampling steps", "Sampling method", "Guidance scale", "Width", "Height"),
    *("Schedule type", "Scheduler", "Model hash", "Model", "VAE", "Clip skip", "Denoising strength"),
)
_LABEL = "|".join(label.replace(" ", r"\s") for label in _LABELS)
_SETTING = "|".join(label.replace(" ", r"\s") for label in _LABELS if "rompt" not in label)
_GAP = r"[^\S\n]{0,4}"  # bounded, so that a long run of blanks takes no longer than its length
_COLON = rf"{_GAP}[:\uff1a]"
_FENCE = re.compile(r"\A\s*```\w*\n(.*?)\n?```\s*\Z", re.DOTALL)
_QUOTE_MARKS = re.compile(r"(?m)^> ?")
_BOLD = re.compile(rf"(\*\*|__)({_LABEL})(?:{_COLON}\1|\1{_COLON})", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#0?3[49]|#x2[27]|#160);")
# They have no width: a byte order mark, and what websites put between words so that lines may break.
_UNSEEN = "\ufeff\u200b\u2060"
_UNSEEN_ENDS = re.compile(rf"(?m)^[{_UNSEEN}]++|(?<![{_UNSEEN}])[{_UNSEEN}]++$")
_NEGATIVE = re.compile(rf"(?mi)^[^\S\n]*(negative)\s(prompt){_COLON}[^\S\n]*")
_NEGATIVE_ALONE = re.compile(r"(?mi)^[^\S\n]*negative prompt[^\S\n]*\n")
_PROMPT_ALONE = re.compile(r"(?i)\A\s*(?:positive )?prompt[^\S\n]*\n")
_LINE = re.compile(rf"(?mi)^[^\S\n]*(?:{_SETTING}){_COLON}.*$")
_BLANKS = re.compile(r"[^\S\n\t ]")
_SEPARATOR = re.compile(rf"{_GAP}[;|\t\uff0c\uff1b\u3001]{_GAP}(?=(?:{_SETTING}){_COLON})", re.IGNORECASE)
_SETTING_COLON = re.compile(rf"(?i)(?<![\w\-])({_SETTING}){_COLON}")
_OTHER_QUOTES = re.compile(r"(?<=:)[^\S\n]{0,4}[“”„«]([^“”„«»\"\n]*)[“”»](?=[^\S\n]{0,4}(?:,|$))")
_WIDE = str.maketrans({"\uff0c": ",", "\uff1a": ":"})


def tidy(text: str) -> tuple[str, list[str]]:
    """Return a text with its labels and settings as AUTOMATIC1111 writes them, and remarks."""
    remarks: list[str] = []
    if fenced := _FENCE.match(text):
        text = fenced[1]
    if all(line.startswith(">") for line in text.strip().split("\n")):
        text = _QUOTE_MARKS.sub("", text.strip())
    text = _BOLD.sub(lambda label: f"{label[2]}:", text)
    if _ENTITY.search(text):
        text = _ENTITY.sub(lambda sign: html.unescape(sign[0]), text)
        remarks.append("Signs written as in HTML, such as &amp;, are read as what they stand for.")
    text = _UNSEEN_ENDS.sub("", text)
    text = _NEGATIVE.sub(lambda label: f"{label[1]} {label[2]}: ", text)
    if _NEGATIVE_ALONE.search(text) and _PROMPT_ALONE.match(text):  # labels that a page shows as headings
        text = _NEGATIVE_ALONE.sub("Negative prompt: ", _PROMPT_ALONE.sub("", text), count=1)
    return _LINE.sub(lambda line: _tidy_settings(line[0]), text), remarks


def _tidy_settings(line: str) -> str:
    """Give a line of settings plain blanks, colons, commas and quotes."""
    line = _BLANKS.sub(" ", line)
    if len(_SETTING_COLON.findall(line)) >= MIN_SETTINGS:
        line = _SEPARATOR.sub(", ", line)
    line = _SETTING_COLON.sub(lambda key: f"{key[1]}:", line)
    if "\uff0c" in line and "," not in line:
        line = line.translate(_WIDE)
    return _OTHER_QUOTES.sub(lambda quoted: ' "' + quoted[1].replace("\\", "\\\\") + '"', line)
