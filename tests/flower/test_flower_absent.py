"""Without the extra, one line says what to install."""

import sys

import pytest

import turncoat.flower
from turncoat import TurncoatError


@pytest.mark.parametrize("name", turncoat.flower.__all__)
def test_a_name_that_needs_flower_says_how_to_get_it(name, monkeypatch):
    for module in [m for m in sys.modules if m.split(".")[0] == "flwr" or m.startswith("turncoat.flower.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "flwr", None)
    monkeypatch.delitem(vars(turncoat.flower), name, raising=False)
    with pytest.raises(
        TurncoatError, match=rf"turncoat.flower.{name} needs Flower.*pip install 'turncoat\[flower\]'"
    ):
        getattr(turncoat.flower, name)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'Robust'"):
        turncoat.flower.Robust  # noqa: B018
