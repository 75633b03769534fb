"""What programs and people send by mistake or on purpose, where a number, a text or a picture is awaited."""

from math import inf, nan

DEEP = 3_000  # brackets in each other


def nested(depth: int, *, objects: bool = False) -> object:
    """Return a list in a list, or an object in an object, so many times."""
    value: object = 1
    for _ in range(depth):
        value = {"a": value} if objects else [value]
    return value


def described(**known: object) -> dict[str, object]:
    """Return a file's description, as Gradio's clients send one."""
    return {"meta": {"_type": "gradio.FileData"}, **known}


PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5"
    "ErkJggg=="
)

HOSTILE: dict[str, object] = {
    "nothing": None,
    "no number": nan,
    "infinity": inf,
    "minus infinity": -inf,
    "zero": 0,
    "minus one": -1,
    "a half": 0.5,
    "2**70": 2**70,
    "4,000 digits": 10**4_000,
    "nearly infinity": 1e308,
    "true": True,
    "false": False,
    "an empty text": "",
    "blanks": " \t\n ",
    "a long text": "cat " * 50_000,
    "a number as text": "512",
    "a wrong choice": "magic",
    "half a character": "\ud83d",
    "half a character in a name": "a\udcffb.png",
    "control characters": "\x00\x1b[2J\x07\r\n\x7f",
    "markup": '<img src="http://127.0.0.1:9/x" onerror=alert(1)><script>1</script>',
    "right to left": "\u202etac\u202c \u05d7\u05ea\u05d5\u05dc",
    "emoji": "\U0001f469\u200d\U0001f680" * 50,
    "a date": "2026-02-30",
    "bytes": "b'\\xff\\xd8\\xff'",
    "base64": PIXEL.partition(",")[2],
    "a path": "../../../../etc/passwd",
    "an address": "http://127.0.0.1:9/cat.png",
    "an expression": "{row: cat + 0.43*tabby}",
    "round brackets": "(" * DEEP,
    "square brackets": "[" * DEEP + ":a:0.5" + "]" * DEEP,
    "braces": "{" * DEEP,
    "JSON as text": '{"a":' * DEEP,
    "an empty list": [],
    "a huge list": list(range(100_000)),
    "a list of lists": [[1, 2], [None, "a"], [{}]],
    "lists in lists": nested(DEEP),
    "an empty object": {},
    "objects in objects": nested(DEEP, objects=True),
    "a file of the machine": described(path="/etc/passwd", orig_name="cat.png"),
    "a file elsewhere": described(path="http://127.0.0.1:9/cat.png", url="http://127.0.0.1:9/cat.png"),
    "a file in its address": described(path=PIXEL, url=PIXEL),
    "a file without a path": described(path=None, url=None),
    "a file of odd types": described(path=["a"], url=7, size="x", is_stream="no"),
    "an update of the page": {"__type__": "update", "value": 1, "choices": [1]},
}
