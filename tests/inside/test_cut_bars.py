"""That cuts do on the embedded model what is said of them, by the judge; the whole set is `-m slow`.

tests/benchmarks/inside_unet.py prints all figures.
"""

import pytest

from sd_app import Settings, Studio
from sd_app.inside.cuts import ALL_CROSS
from tests.inside_cuts import MIDDLE_CROSS, run_cuts
from tests.inside_words import cases


def effects_of(per_kind: int, seed: int):
    from sd_app.tiny.judge import load_judge

    studio = Studio(Settings(device="cpu", batch_size=16))
    return run_cuts(studio, cases(per_kind, seed=seed), load_judge(), [ALL_CROSS, MIDDLE_CROSS])


def test_without_cross_attention_subjects_are_lost_and_without_the_middles_they_stay():
    effects = effects_of(1, seed=11)
    assert effects[ALL_CROSS].kept("subject") <= 0.5
    assert effects[MIDDLE_CROSS].kept("subject") == 1


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_on_a_fixed_set_of_sixty_the_bars_hold():
    effects = effects_of(30, seed=20261128)
    assert effects[ALL_CROSS].kept("subject") <= 0.30
    assert effects[MIDDLE_CROSS].kept("subject") >= 0.90
