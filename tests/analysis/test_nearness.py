import pytest

from turncoat import Federation, Recipe, TurncoatError
from turncoat.analysis.nearness import nearness

RECIPE = Recipe(epochs=2, learning_rate=0.3, batch_size=6)


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize("partition", ["iid", "shards:2"])
def test_flips_lead_the_message_towards_the_attacks(partition, multi):
    crowd = Federation(workers=5, hostile=2, partition=partition)
    table = nearness(multi, crowd, recipe=RECIPE, attacks=["sign_flip", "min_max"], budgets=[0, 0.3, 1])
    assert len(table) == 2 * 3 * 2 and (table["partition"] == partition).all()
    assert (table["bound"] <= table["distance"] * (1 + 1e-5)).all()
    none, some, full = (table[table["local_budget"] == b].reset_index() for b in (0, 0.3, 1))
    assert none["distance"].to_numpy() == pytest.approx(none["honest"].to_numpy())
    assert (full["distance"] < none["distance"]).all() and (some["distance"] < none["distance"]).all()
    assert (full["cosine"] > none["cosine"]).all() and full["cosine"].mean() > 0.5


@pytest.mark.parametrize(
    ("crowd", "attacks", "told"),
    [
        (Federation(), ["sign_flip"], "give a federation of both"),
        (Federation(workers=3, hostile=3), ["sign_flip"], "give a federation of both"),
        (Federation(workers=3, hostile=1), ["sign_flop"], "did you mean 'sign_flip'?"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(crowd, attacks, told, multi):
    with pytest.raises(TurncoatError) as caught:
        nearness(multi, crowd, attacks=attacks)
    assert told in str(caught.value) and "\n" not in str(caught.value)
