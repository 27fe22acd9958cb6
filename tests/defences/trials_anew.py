"""The slow form of what an aware attacker tries: a step's own gradient of all rows for every trial, and Δ along it."""

from turncoat.models.stack import dot, zeros


def outcome(trial, model, params, direction, x, known, chosen):
    """⟨G, Δ⟩ and which own rows count, as ``Trial.outcome`` says; ``trial`` tells the guard and whose rows."""
    labels = trial.y.unsqueeze(1).repeat(1, chosen.shape[1])
    labels[trial.own] = chosen.to(labels.dtype)
    labels = trial.guard.repaired(labels, trial.y)
    counted = trial.guard.counted(labels)
    rest, pull = trial.guard.gradient(model, params, x, labels, counted, known)
    total = zeros(params)
    pull(rest, total, 1.0)
    return dot(total, direction, model.replica_axis), (rest[: len(x)] != 0).any(1)[trial.own]
