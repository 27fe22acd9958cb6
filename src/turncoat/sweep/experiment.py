"""An experiment: what a file asks for, as cells whose names are known and whose data are told apart."""

import dataclasses
import itertools

from turncoat import errors, own_code
from turncoat.attack.names import is_own
from turncoat.data import SCALES
from turncoat.federation.aggregators.chain import aggregator, coded
from turncoat.federation.selections import check_selection
from turncoat.models import MODELS
from turncoat.sweep.axes import ALSO, SEEDS, Axes, Experiment, demo, experiment, read, seeds, telling
from turncoat.sweep.cells import Cell
from turncoat.sweep.contradictions import combinations, distinct, placed, refuse
from turncoat.sweep.held import with_workers
from turncoat.sweep.prepared import tell_apart
from turncoat.sweep.problem import Problem
from turncoat.sweep.standing import stood_for

__all__ = ["ALSO", "SEEDS", "Axes", "Experiment", "cells", "demo", "experiment", "read", "seeds"]


def cells(experiment: Experiment) -> list[Cell]:
    """All cells of an experiment, each once; the clean run of every setting and seed is among them.

    Raises:
        TurncoatError: for a value out of range, or one that would do nothing in every cell.
    """
    with telling(experiment.name):
        found: dict[Cell, None] = {}
        for axes in map(with_workers, (experiment.axes, *experiment.also)):
            named = itertools.chain(*(stood_for(c, axes) for c in combinations(axes, experiment.seeds[0])))
            asked = [placed(_checked(cell), axes) for cell in named]
            here = distinct(asked)
            refuse(axes, asked, here)
            found |= dict.fromkeys(here)
        told = {problem: tell_apart(problem) for problem in {cell.problem for cell in found}}
        apart = [_coded(cell, *told[cell.problem]) for cell in found]
        return [cell.with_seed(seed) for seed in experiment.seeds for cell in apart]


def _coded(cell: Cell, problem: Problem, fingerprint: str) -> Cell:
    """With the data's fingerprint, and the digest of its code behind every name of one's own."""
    threat, federation = cell.threat, cell.federation
    if isinstance(threat.selection, str) and is_own(threat.selection):
        threat = dataclasses.replace(threat, selection=own_code.coded(threat.selection, "selection"))
    if isinstance(federation.aggregator, str):
        federation = dataclasses.replace(federation, aggregator=coded(federation.aggregator))
    return dataclasses.replace(
        cell, problem=problem, fingerprint=fingerprint, threat=threat, federation=federation
    )


def _checked(cell: Cell) -> Cell:
    """Names are refused before any data is read; a model's ``module:callable`` is looked up when it is built."""
    if ":" not in cell.problem.model:
        errors.choose(cell.problem.model, MODELS, "model")
    errors.choose(cell.problem.scale, SCALES, "scale")
    check_selection(cell.threat)
    aggregator(cell.federation.aggregator)
    return cell
