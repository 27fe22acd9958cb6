"""What planning costs beside training, counted before either: rows times steps."""

from turncoat.planning.planner import ROUNDS, TRIED
from turncoat.planning.scene import FEW, MESSAGES, MOST_STEPS, NETWORK_ROWS, ROWS
from turncoat.planning.starts import names
from turncoat.planning.timing import timing
from turncoat.recipe import Recipe

THERE_AND_BACK = 3  # passes of a planning round, where a step of training is one
LAUNCH = 256  # rows that could pass in the time that any step takes, however few its own


def times_the_training(
    rows: int,
    batches: int,
    recipe: Recipe,
    models: int,
    goal: str = "untargeted",
    linear: bool = True,
    workers: int = 0,
) -> float:
    """About how many times as long one attacker's planning takes as training so many models side by side."""
    starts = len(names(goal, bool(workers)))
    training = recipe.epochs * (rows + LAUNCH * batches) * models
    if workers:  # steps as the training's own, with all workers' batches
        steps = len(timing(recipe, batches, least=MESSAGES).phase_of)
        tried = TRIED * starts + ROUNDS - TRIED
        return tried * steps * (rows / max(1, batches) + LAUNCH) * THERE_AND_BACK / training
    steps = len(timing(recipe, batches).phase_of) if linear else MOST_STEPS
    first, then = min(rows, FEW), min(rows, ROWS if linear else NETWORK_ROWS)
    planning = (TRIED * starts * first + (ROUNDS - TRIED) * then) * steps * THERE_AND_BACK
    return planning / training
