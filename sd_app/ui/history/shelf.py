"""What the tab "History" and its routes share: the history of the outputs folder, for who asks."""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from ...history import MARKS, History, Kept, Mark
from ...history.differences import differences
from ...history.export import export_zip, infotext_of
from ...history.search_text import read_search
from ...images import open_image
from ..shared.components import ServedFile
from ..shared.files import PictureFiles, exact
from ..shared.studio_protocol import PageSettings

PAGE = 60  # pictures
QUICK_SECONDS = 0.15  # that a page waits for what is new
MOST_NAMES = 1_000  # pictures that something is done with at once
UNSHOWN = (".tif", ".tiff")  # what browsers do not draw

log = logging.getLogger(__name__)

Json = dict[str, Any]


class Shelf:
    """Safe to use from several threads. An `owner` of None may see everything: it is their own machine."""

    def __init__(self, settings: PageSettings, files: PictureFiles) -> None:
        self.settings, self.files = settings, files
        self.history = History(settings.outputs_dir, settings.cache_dir)
        self.is_private = settings.mode != "local"
        if self.is_private:
            files.on_made = self._own

    def _own(self, paths: Sequence[Path], owner: str) -> None:
        """Remember a visitor's pictures as theirs."""
        try:
            self.history.note_owner(paths, owner)
        except OSError as error:  # the picture is made and shown all the same
            log.warning("A visitor's pictures will not be in their history: %s", error)

    # -- what the page asks

    def page(self, asked: Mapping[str, Any], owner: str | None) -> Json:
        """Return some pictures, newest first; of a first page also how many there are in all."""
        search = read_search(_text(asked, "search"))
        trashed, after = asked.get("trashed") is True, _cursor(asked.get("after"))
        if after is None:
            self._look()
        page = self.history.page(search, after=after, limit=PAGE, trashed=trashed, owner=owner)
        answer: Json = {
            "pictures": [entry_of(kept) for kept in page.pictures],
            "after": page.after and [str(page.after[0]), key_of(page.after[1])],
            "remarks": list(page.remarks),
        }
        if after is None:
            count = self.history.count(search, trashed=trashed, owner=owner)
            answer |= {"count": count, **self._state(owner)}
        return answer

    def state(self, owner: str | None) -> Json:
        """Look whether something is new, and return how far the folder is read."""
        self._look()
        return self._state(owner)

    def _look(self) -> None:
        """Look for new pictures. What was just made is there at once; a whole folder is not waited for."""
        self.history.refresh()
        self.history.wait(QUICK_SECONDS)

    def _state(self, owner: str | None) -> Json:
        state = self.history.state()
        problem = state.problem[:1].upper() + state.problem[1:]
        is_owner = owner is None  # nobody else is told how many pictures there are
        return {
            "running": state.running and state.total > 0,
            "done": state.done if is_owner else 0,
            "total": state.total if is_owner else 0,
            "problem": f"{problem}." if problem and is_owner else "",
            "version": state.version,
        }

    def open(self, asked: Mapping[str, Any], owner: str | None) -> Json:
        """Return a picture with all that its file says, and its companions."""
        kept = self.history.find(name_of(asked.get("name")), owner=owner)
        infotext = infotext_of(self.history.outputs_dir / kept.name)
        views = [
            {"label": kind, "file": self._served(name)} for kind, name in sorted(kept.companions.items())
        ]
        return {
            **entry_of(kept),
            "image": self._image(kept, infotext),
            "shown": self._shown(kept),
            "infotext": infotext,
            "views": [view for view in views if view["file"]],
        }

    def compare(self, asked: Mapping[str, Any], owner: str | None) -> Json:
        """Return two pictures, and the parameters in which they differ."""
        names = _names(asked)
        if len(names) != 2:
            raise ValueError(f"pictures to compare must be two, got {len(names)} (select two)")
        pictures = [self.open({"name": key_of(name)}, owner) for name in names]
        found = differences(pictures[0]["infotext"], pictures[1]["infotext"])
        return {"pictures": pictures, "differences": [[one.key, one.first, one.second] for one in found]}

    def mark(self, asked: Mapping[str, Any], owner: str | None) -> Json:
        """Set a mark, or take it away."""
        mark = asked.get("mark")
        if mark is not None and mark not in MARKS:
            raise ValueError(f"mark must be one of {', '.join(MARKS)} or none (reload the page)")
        known: Mark | None = mark
        self.history.mark(_names(asked), known, owner=owner)
        return {}

    def trash(self, asked: Mapping[str, Any], owner: str | None) -> Json:
        """Move pictures into the trash; return their names there, for undo."""
        return self._moved(self.history.throw_away, _names(asked), owner)

    def restore(self, asked: Mapping[str, Any], owner: str | None) -> Json:
        """Move pictures back."""
        return self._moved(self.history.put_back, _names(asked), owner)

    def _moved(self, move: Any, names: list[str], owner: str | None) -> Json:
        """Move one after the other; what cannot be moved is said, and the others are."""
        moved, problems = [], []
        for name in names:
            try:
                moved += [[key_of(one.old), key_of(one.new)] for one in move([name], owner=owner)]
            except (LookupError, OSError) as error:
                problems.append(str(error))
        if not moved and problems:
            raise ValueError(problems[0])
        return {
            "moved": moved,
            "problem": f"{len(problems)} could not be moved: {problems[0]}." if problems else "",
        }

    def export(self, asked: Mapping[str, Any], owner: str | None) -> Json:
        """Return a ZIP file of pictures with a table."""
        pictures = [self.history.find(name, owner=owner) for name in _names(asked)]
        name = f"pictures-{datetime.now():%Y-%m-%d-%H%M%S}.zip"
        with TemporaryDirectory() as folder:
            target = Path(folder) / name
            count = export_zip(self.history.outputs_dir, pictures, target)
            return {"file": self.files.file(target), "name": name, "count": count}

    def thumbnail(self, key: str, owner: str | None) -> bytes:
        """Return a picture's thumbnail. Raise LookupError or ValueError if there is none."""
        return self.history.thumbnail(name_of(key), owner=owner)

    # -- files on their way to the page

    def _image(self, kept: Kept, infotext: str) -> Json:
        """Return a picture as a result block has it, so that it can be sent to the tabs."""
        file = self._served(kept.name)
        if file is None:
            raise LookupError("this picture is not there any more (it was moved or deleted since)")
        seed = exact(int(kept.seed)) if kept.seed else ""
        return {
            "file": file,
            "name": Path(kept.shown_name).name,
            "seed": seed,
            "infotext": infotext,
            "look": "",
        }

    def _served(self, name: str) -> ServedFile | None:
        """Return a file where the page gets it; None if it is gone."""
        path = self.history.outputs_dir / name
        with suppress(FileNotFoundError):
            try:
                name.encode()
            except UnicodeEncodeError:
                shown = os.fsencode(path.name).decode("ascii", errors="replace").replace("\ufffd", "_")
                return self.files.data(path.read_bytes(), shown)
            return self.files.file(path)
        return None

    def _shown(self, kept: Kept) -> ServedFile | None:
        """Return what a browser can draw of a picture; None if that is the file itself."""
        if not kept.name.lower().endswith(UNSHOWN):
            return None
        return self.files.picture(open_image(self.history.outputs_dir / kept.name))


def entry_of(kept: Kept) -> Json:
    """Return what the page draws of a picture in the list."""
    made = datetime.fromtimestamp(kept.made / 1e9)
    return {
        "name": key_of(kept.name),
        "title": kept.shown_name,
        "day": made.date().isoformat(),
        "made": made.isoformat(" ", "minutes"),
        "width": kept.width,
        "height": kept.height,
        "bytes": kept.size_bytes,
        "prompt": kept.prompt,
        "model": kept.model,
        "seed": kept.seed,
        "kind": kept.kind,
        "program": kept.program,
        "mark": kept.mark,
        "companions": sorted(kept.companions),
        "version": f"{kept.mtime_ns:x}-{kept.size_bytes:x}",  # of the thumbnail's address
    }


def key_of(name: str) -> str:
    """Return a name as it stands in JSON and addresses: its bytes, percent-encoded."""
    return quote(os.fsencode(name))


def name_of(key: object) -> str:
    """Return the name of a key. Raise LookupError for what is none."""
    if not isinstance(key, str) or not key.isascii() or len(key) > 12_000:
        raise LookupError("this picture is not there (reload the page)")
    return os.fsdecode(unquote_to_bytes(key))


def _names(asked: Mapping[str, Any]) -> list[str]:
    keys = asked.get("names")
    if not isinstance(keys, list) or not 1 <= len(keys) <= MOST_NAMES:
        raise ValueError(f"select from 1 to {MOST_NAMES:,} pictures")
    return list(dict.fromkeys(name_of(key) for key in keys))


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    return value if isinstance(value, str) else ""


def _cursor(value: object) -> tuple[int, str] | None:
    match value:
        case [str(made), key] if made.removeprefix("-").isdecimal() and made.isascii() and len(made) < 20:
            return int(made), name_of(key)
    return None
