"""Names of selections, judged without the rules they stand for: those take PyTorch, whose import takes seconds."""

BLIND = ("random", "cyclic", "mirror")  # rules that look at nothing
SELECTIONS = ("optimal", "as_printed", "last_layer", *BLIND, "least_likely", "highest_loss")
PARAMETRIC = ("source_to_target", "all_to_one", "class_by_class")  # named with numbers, and as blind
PLANNED = "planned"  # no rule of one round: a plan of the whole training
PLANS = {
    PLANNED: "mean",
    f"{PLANNED}:last": "last",
}  # where a plan's aim counts: the last tenth of the rounds, or the end
STRONGEST = "strongest"  # no rule at all: a word for all of them, of which the strongest is told
IMITATE = "imitate"  # imitate:ATTACK, no rule of scores: the labels of a federation's worker whose message is nearest
FORMS = (f"{IMITATE}:ATTACK", "MODULE:CALLABLE")  # what may be typed beside those names


def is_planned(selection: object) -> bool:
    """Whether a selection plans the whole training."""
    return isinstance(selection, str) and selection in PLANS


def is_own(name: object) -> bool:
    """Whether a selection is the name of a rule of one's own."""
    return (
        isinstance(name, str)
        and ":" in name
        and name.partition(":")[0] not in (*PARAMETRIC, IMITATE, PLANNED)
    )


def is_blind(selection: object) -> bool:
    """Whether a rule of one round looks at nothing; one that is not built in has to be looked up.

    Raises:
        TurncoatError: if there is no such rule.
    """
    if selection in SELECTIONS:
        return selection in BLIND
    if isinstance(selection, str) and selection.partition(":")[0] in PARAMETRIC:
        return True
    # what is not built in is code that takes PyTorch itself
    from turncoat.attack.selection import Selection, find

    rule = selection if callable(selection) else find(selection)
    return isinstance(rule, Selection) and rule.needs == "nothing"
