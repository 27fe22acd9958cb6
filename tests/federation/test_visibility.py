"""What detection looks at, by hand and against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from turncoat import Recipe, Threat, TurncoatError, train
from turncoat.federation import Federation
from turncoat.federation.visibility import SIGNS, label_shift, looked_at, signs, summarise

NORM, COSINE, EXAMPLE, SHIFT = range(len(SIGNS))


def test_signs_by_hand():
    make = torch.Generator().manual_seed(0)
    messages = torch.randn(2, 6, 9, generator=make, dtype=torch.float64)
    norms, shifts = torch.rand(6, 2, generator=make).double(), torch.rand(6, 2, generator=make).double()
    found = signs(messages, 2, norms, shifts).numpy()
    for r in range(2):
        m = messages[r].numpy()
        for i in range(6):
            others = np.mean([m[j] for j in range(2, 6) if j != i], 0)  # honest ones but the worker itself
            cosine = m[i] @ others / np.linalg.norm(m[i]) / np.linalg.norm(others)
            wanted = [np.linalg.norm(m[i]), cosine, norms[i, r], shifts[i, r]]
            np.testing.assert_allclose(found[r, i], wanted, rtol=1e-9)


def test_label_shift_is_the_total_variation_of_the_histograms():
    make = torch.Generator().manual_seed(1)
    old = torch.randint(4, (30,), generator=make)
    new = torch.randint(4, (30, 3), generator=make)
    new[:, 2] = old
    found = label_shift(new, old, 4)
    for r in range(3):
        before, after = np.bincount(old, minlength=4) / 30, np.bincount(new[:, r], minlength=4) / 30
        assert float(found[r]) == pytest.approx(np.abs(before - after).sum() / 2, abs=1e-6)
    assert float(found[2]) == 0
    assert float(label_shift(torch.ones(5, 1).long(), torch.zeros(5).long(), 2)) == 1


def samples(shift, looks=60, workers=8, hostile=3, seed=0):
    rng = np.random.default_rng(seed)
    found = np.abs(rng.normal(5, 1, size=(looks, workers, 4)))
    found[:, :hostile, NORM] += shift
    found[:, :, COSINE] = rng.normal(0.5, 0.1, size=(looks, workers))
    found[:, :hostile, COSINE] -= shift / 20
    return found


@pytest.mark.parametrize("shift", [0.0, 0.7, 3.0])
def test_summary_against_scikit_learn(shift):
    seen = samples(shift)
    found = summarise(seen, 3)
    hostile, honest = seen[:, :3].reshape(-1, 4), seen[:, 3:].reshape(-1, 4)
    assert found["norm_ratio"] == pytest.approx(hostile[:, NORM].mean() / honest[:, NORM].mean())
    assert found["example_norm_ratio"] == pytest.approx(
        hostile[:, EXAMPLE].mean() / honest[:, EXAMPLE].mean()
    )
    assert found["label_shift"] == pytest.approx(hostile[:, SHIFT].mean())
    truth = np.array([1] * len(hostile) + [0] * len(honest))
    table = np.concatenate([hostile, honest])
    area = roc_auc_score(truth, table[:, NORM])
    assert found["auc_norm"] == pytest.approx(max(area, 1 - area))
    area = roc_auc_score(truth, -table[:, COSINE])
    assert found["auc_cosine"] == pytest.approx(max(area, 1 - area))
    features = np.column_stack([np.log(table[:, NORM]), table[:, COSINE]])
    features = (features - features.mean(0)) / features.std(0)
    mix = LogisticRegression().fit(features, truth).decision_function(features)
    assert found["auc_linear"] == pytest.approx(roc_auc_score(truth, mix), abs=1e-6)
    # by hand: the lowest threshold that at most 1 % of the honest messages pass
    passed = np.sort(mix[truth == 0])[::-1][int(0.01 * (truth == 0).sum())]
    assert found["caught_at_1_percent"] == pytest.approx((mix[truth == 1] > passed).mean(), abs=0.02)


def test_a_blatant_attacker_is_always_caught_and_a_hidden_one_hardly_ever():
    assert summarise(samples(30.0), 3)["caught_at_1_percent"] == 1
    hidden = summarise(samples(0.0), 3)
    assert hidden["caught_at_1_percent"] < 0.1 and hidden["auc_norm"] < 0.6


def test_nothing_to_tell_apart():
    assert summarise(samples(1.0), 0) == {} and summarise(samples(1.0), 8) == {}
    assert summarise(np.full((3, 8, 4), np.nan), 3) == {}


def test_looks_are_spread_over_the_run():
    assert list(looked_at(7)) == list(range(7))
    spread = looked_at(5000)
    assert len(spread) == 100 and spread[0] == 0 and spread[-1] == 4999
    assert max(np.diff(spread)) - min(np.diff(spread)) <= 1


def test_a_run_reports_what_its_workers_sent(multi):
    """First look of a run from zero parameters: softmax gradients can be written down."""
    setting = Federation(workers=4, hostile=1)
    recipe = Recipe(epochs=2, learning_rate=0.1, batch_size=6)
    results = train(multi, threats=[Threat(selection="mirror")], seeds=[2], recipe=recipe, federation=setting)
    frame = results.visibility()
    assert set(SIGNS) <= set(frame) and len(frame) == 2 * 6 * 4
    from turncoat.federation.crowd import enlist
    from turncoat.models.logistic import logistic

    crowd = enlist(setting, logistic(5, 4), multi.y, 2, 6, 2)
    rows = crowd.epoch(2, 0)[0]
    x = np.hstack([multi.x.numpy(), np.ones((len(multi.x), 1))])
    for attacked in (False, True):
        messages, norms, shifts = [], [], []
        for worker in range(4):
            y = multi.y.numpy()[rows[worker]]
            new = 3 - y if attacked and worker == 0 else y
            each = [
                np.outer(np.full(4, 0.25) - np.eye(4)[c], x[i])
                for i, c in zip(rows[worker], new, strict=True)
            ]
            messages.append(np.mean(each, 0).ravel())
            norms.append(np.mean([np.linalg.norm(g) for g in each]))
            shifts.append(np.abs(np.bincount(y, minlength=4) - np.bincount(new, minlength=4)).sum() / 12)
        part = frame[(frame["round"] == 0) & ((frame["write_access"] > 0) == attacked)].sort_values("worker")
        np.testing.assert_allclose(part["norm"], [np.linalg.norm(m) for m in messages], rtol=1e-5)
        np.testing.assert_allclose(part["example_norm"], norms, rtol=1e-5)
        np.testing.assert_allclose(part["label_shift"], shifts, atol=1e-7)
        assert part["is_hostile"].tolist() == [True, False, False, False]
    row = results.summary().iloc[1]
    assert row["visibility.label_shift"] > 0 and row["visibility.norm_ratio"] > 0


def test_pooled_results_have_no_messages(multi):
    results = train(multi, seeds=[0], recipe=Recipe(epochs=1))
    with pytest.raises(TurncoatError, match="no federation was trained: give workers"):
        results.visibility()
    assert not [name for name in results.summary() if name.startswith("visibility")]
