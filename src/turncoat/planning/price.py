"""What planning costs beside training, counted before either: rows times steps."""

from turncoat.planning.planner import ROUNDS, TRIED
from turncoat.planning.scene import FEW, MOST_STEPS, NETWORK_ROWS, ROWS
from turncoat.planning.starts import CLASSES, EVEN
from turncoat.planning.starts import ROUNDS as BY_ROUND
from turncoat.planning.timing import timing
from turncoat.recipe import Recipe

THERE_AND_BACK = 3  # passes of a planning round, where a step of training is one
LAUNCH = 256  # rows that could pass in the time that any step takes, however few its own
STARTS = {"untargeted": len((EVEN, BY_ROUND, CLASSES)), "targeted": len((EVEN,))}


def times_the_training(
    rows: int, batches: int, recipe: Recipe, models: int, goal: str = "untargeted", linear: bool = True
) -> float:
    """About how many times as long one attacker's planning takes as training so many models side by side."""
    steps = len(timing(recipe, batches).phase_of) if linear else MOST_STEPS
    first, then = min(rows, FEW), min(rows, ROWS if linear else NETWORK_ROWS)
    planning = (TRIED * STARTS[goal] * first + (ROUNDS - TRIED) * then) * steps * THERE_AND_BACK
    training = recipe.epochs * (rows + LAUNCH * batches) * models
    return planning / training
