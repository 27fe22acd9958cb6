"""Gradient attacks against literal NumPy, one replica at a time, and whom they touch in a federation."""

from statistics import NormalDist

import numpy as np
import pytest
import torch

from turncoat import Recipe, Threat, train
from turncoat.federation import GRADIENT_ATTACKS, Federation


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def numpy_alie(honest, hostile):
    workers = len(honest) + hostile
    needed = workers // 2 + 1 - hostile  # honest workers that must side with the attacker
    share = (workers - hostile - needed) / (workers - hostile)
    z = abs(NormalDist().inv_cdf(share))
    return honest.mean(0) - z * honest.std(0)


def numpy_min_max(honest, hostile):
    """The paper's search for γ, by halving its interval until it rests."""
    mean = honest.mean(0)
    away = -mean / np.linalg.norm(mean)
    widest = max(np.linalg.norm(a - b) for a in honest for b in honest)

    def inside(gamma):
        return max(np.linalg.norm(mean + gamma * away - g) for g in honest) <= widest

    low, high = 0.0, 1e3
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) else (low, middle)
    return mean + low * away


LITERAL = {
    "sign_flip": lambda honest, hostile: -honest.mean(0),
    "inner_product": lambda honest, hostile: -0.5 * honest.mean(0),
    "little_is_enough": numpy_alie,
    "mimic": lambda honest, hostile: honest[0],
    "min_max": numpy_min_max,
}


@pytest.mark.parametrize("name", LITERAL)
@pytest.mark.parametrize(("w", "hostile"), [(7, 3), (8, 2), (12, 5), (9, 1)])
def test_as_printed(name, w, hostile):
    honest = 0.3 + torch.randn(2, w, 6, generator=draw(w), dtype=torch.float64)
    kept = honest.clone()
    sent = GRADIENT_ATTACKS[name](honest, hostile, draw())
    assert torch.equal(honest, kept) and sent.shape == (2, hostile, 6) and sent.dtype == honest.dtype
    for replica in range(2):
        wanted = LITERAL[name](honest[replica].numpy(), hostile)
        for one in sent[replica].numpy():
            np.testing.assert_allclose(one, wanted, rtol=1e-9, atol=1e-9)


def test_noise_is_normal_and_the_same_for_all_replicas():
    honest = torch.zeros(3, 4, 20_000)
    sent = GRADIENT_ATTACKS["gaussian"](honest, 2, draw())
    assert torch.equal(sent[0], sent[2]) and not torch.equal(sent[0, 0], sent[0, 1])
    assert float(sent.std()) == pytest.approx(200, rel=0.02) and abs(float(sent.mean())) < 4
    assert torch.equal(sent, GRADIENT_ATTACKS["gaussian"](honest, 2, draw()))


def test_every_attack_has_a_literal_twin():
    assert {*LITERAL, "gaussian"} == set(GRADIENT_ATTACKS)


@pytest.mark.parametrize("name", GRADIENT_ATTACKS)
def test_only_hostile_workers_of_its_own_replica_forge(name, multi):
    """What honest workers send in the first round is what they send in the clean run."""
    setting = Federation(workers=5, hostile=2)
    recipe = Recipe(epochs=1, learning_rate=0.1, batch_size=7)
    threats = [Threat(selection="random"), Threat(selection=name)]
    results = train(multi, threats=threats, seeds=[1], recipe=recipe, federation=setting)
    clean, flipped, forged = (next(r for r in results.runs if r.threat.selection == s or (s == "" and
                              r.threat.is_clean)) for s in ("", "random", name))  # fmt: skip
    first = clean.samples[0], flipped.samples[0], forged.samples[0]
    np.testing.assert_array_equal(first[0][2:, 0], first[2][2:, 0])
    assert not np.allclose(first[0][:2, 0], first[2][:2, 0])
    assert (forged.curve("flips") == 0).all() and (first[2][:, 3] == 0).all()
    alone = train(multi, threats=[Threat(selection="random")], seeds=[1], recipe=recipe, federation=setting)
    np.testing.assert_allclose(alone.runs[1].curves, flipped.curves, rtol=1e-6)
