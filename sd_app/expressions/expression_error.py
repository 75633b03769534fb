"""An error that points at the character."""

EXCERPT = 30  # characters shown on either side of a mistake


class ExpressionError(ValueError):
    """What is wrong in a slot, and where: `position` counts the text's characters from 0."""

    def __init__(self, name: str, text: str, position: int, rule: str, remedy: str) -> None:
        self.position = position
        first, last = max(0, position - EXCERPT), position + EXCERPT
        start, end = "…" if first else "", "…" if last < len(text) else ""
        # One character for one, so that the caret stands under the mistake.
        shown = "".join(char if char.isprintable() else " " for char in text[first:last])
        caret = " " * (len(start) + position - first) + "^"
        super().__init__(
            f"{name} {rule}, at character {position + 1} ({remedy})\n  {start}{shown}{end}\n  {caret}"
        )
