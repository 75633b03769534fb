"""A quarter of an hour of four clients at a real server."""

import pytest

from .soak import run


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_four_clients_get_their_own_answers_and_the_server_comes_to_rest() -> None:
    assert run(15).faults == []
