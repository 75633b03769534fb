"""The panel of fewer steps."""

from .fewer_steps import make_fewer_steps
from .guidance_actions import STEPS_ACTIONS
from .panel import EXACT, Panel

PANEL = Panel(
    name="steps",
    title="What if fewer steps",
    seen="The same noise and the same words, drawn in 200, 50, 20, 10 and 5 steps from one noise level."
    " What stays was decided by the noise and the words; what changes came of the steps.",
    not_shown="It does not show how another sampler would do with as many steps.",
    formula="x_(t−1) is worked out from x_t in one step; fewer steps take larger ones along the same way.",
    exactness=EXACT,
    make=make_fewer_steps,
    makes_pictures=True,
    actions=STEPS_ACTIONS,
)
