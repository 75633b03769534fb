"""The page's scripts: modules beside the Python that uses them, and the route that serves them.

Their address holds a hash of all of them, so a browser may keep them for good, and a page that was opened
before an update asks for what is not there any more instead of mixing old with new.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

UI = Path(__file__).parent.parent
FOLDER = "scripts"  # of the page's address
INLINE = "shared/first_paint.js"  # no module: it stands in the page's head
HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
}

# Run by gr.HTML with the names element, props, trigger, upload and watch. A press that comes before the
# module is there is repeated for it; a value that does is still in props when it looks.
MOUNT = Template("""\
const early = [];
const keep = (event) => early.push(event);
element.addEventListener("click", keep, true);
import(new URL($module, document.baseURI)).then(({ mount }) => {
  mount({ element, props, trigger, upload, watch }, $options);
  element.removeEventListener("click", keep, true);
  for (const event of early) event.target.dispatchEvent(new MouseEvent("click", event));
}).catch((error) => {
  element.setAttribute("role", "alert");
  element.textContent = "This part of the page could not be loaded. Reload the page.";
  throw error;
});
// Events, which Gradio knows by their names in quotes here: $events
""")
CALL = Template(
    "async (...values) => (await import(new URL($module, document.baseURI))).$function(...$bound, ...values)"
)


@cache
def scripts() -> Mapping[str, bytes]:
    """Read all modules of the page once: path below ui/ -> contents. What is served is what was hashed."""
    names = sorted(path.relative_to(UI).as_posix() for path in UI.rglob("*.js"))
    return {name: (UI / name).read_bytes() for name in names if name != INLINE}


@cache
def version() -> str:
    """Return the hash of names and contents of all modules."""
    digest = hashlib.sha256()
    for name, contents in scripts().items():
        digest.update(f"{name} {len(contents)}\n".encode() + contents)
    return digest.hexdigest()[:16]


def address_of(name: str) -> str:
    """Return a module's address, relative to the page: it holds behind a proxy or in a frame too."""
    assert name in scripts(), name
    return f"{FOLDER}/{version()}/{name}"


def script_of(name: str, *events: str, **options: Any) -> str:
    """Return js_on_load that mounts a module: its mount(component, options) may trigger these events."""
    quoted = ", ".join(json.dumps(event) for event in events)
    return MOUNT.substitute(module=_js(address_of(name)), options=_js(options), events=quoted)


def function_of(name: str, function: str, *bound: Any) -> str:
    """Return an event's js that calls a module's function with `bound` and then with the inputs' values."""
    return CALL.substitute(module=_js(address_of(name)), function=function, bound=_js(bound))


def preloads() -> str:
    """Return the links that fetch all modules while the page loads, not one after the other."""
    return "".join(f'<link rel="modulepreload" href="{address_of(name)}">' for name in scripts())


def routes() -> list[Route]:
    """Return the route that serves the modules, and nothing else. They are public: anybody may read them."""
    return [Route(f"/{FOLDER}/{{version}}/{{name:path}}", _serve)]


async def _serve(request: Request) -> Response:
    contents = scripts().get(request.path_params["name"])
    if contents is None or request.path_params["version"] != version():
        return PlainTextResponse("There is no such script. Reload the page.", status_code=404)
    return Response(contents, media_type="text/javascript", headers=HEADERS)


def _js(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
