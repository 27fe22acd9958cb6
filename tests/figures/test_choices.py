import matplotlib
import numpy as np
import pandas as pd
import pytest

from turncoat import TurncoatError
from turncoat.figures import FIGURES, caption_of, draw


def gids(figure):
    return {a.get_gid() for ax in figure.axes for a in (*ax.lines, *ax.collections)}


def test_every_figure_has_one_line_of_help():
    for spec in FIGURES.values():
        assert spec.help
        assert "\n" not in spec.help
        assert "where" in spec.choices or spec.make is not None


def test_captions_say_setting_statistic_and_seeds(curves, plainly):
    text = caption_of(plainly("budget"))
    for part in ("digits (unit scale)", "logistic", "12 epochs", "batch 64", "learning rate 0.2", "3 seeds"):
        assert part in text
    assert "mean of the last 10 % of epochs" in text
    assert "Student's 95 % interval over seeds" in text
    assert "unstable-step" not in text
    assert "missing" not in text
    assert "last epoch" in caption_of(FIGURES["budget"].draw(curves, statistic="last"))


@pytest.mark.parametrize("name", ["budget", "epochs", "harm", "difference"])
def test_one_seed_has_no_interval_and_the_caption_says_so(curves, plainly, name):
    assert "Student's 95 % interval" in caption_of(plainly(name))
    alone = caption_of(FIGURES[name].draw(curves[curves["seed"] == 0]))
    assert "One seed has no interval" in alone
    assert name != "harm" or "surely harms more than random flips in 0 and less in 0" in alone


@pytest.mark.parametrize("name", ["budget", "heatmap", "difference", "epochs", "spread", "harm"])
def test_captions_warn_of_a_clean_model_that_learned_nothing(curves, plainly, name):
    assert "no-skill" not in caption_of(plainly(name))
    blind = curves.assign(accuracy=curves["accuracy"].where(curves["write_access"] > 0, curves["chance"]))
    assert "Warning no-skill: the clean model is no better than" in caption_of(FIGURES[name].draw(blind))


@pytest.mark.parametrize("name", ["budget", "heatmap", "difference", "epochs", "spread", "harm"])
def test_captions_warn_of_an_unstable_step(curves, name):
    text = caption_of(FIGURES[name].draw(curves.assign(step_stability=3.2)))
    assert "Warning unstable-step: step stability is 3.2" in text


def test_captions_say_that_random_flips_are_missing(curves):
    without = curves[curves["selection"] != "random"]
    figure = FIGURES["budget"].draw(without)
    assert "Random flips at the same budget are missing from these results" in caption_of(figure)
    assert not any("random" in (gid or "") for gid in gids(figure))
    some = curves[(curves["selection"] != "random") | (curves["local_budget"] == 1.0)]
    assert "missing for 6 of 9 cells" in caption_of(FIGURES["budget"].draw(some))


def test_filters_keep_clean_runs_and_random_flips(curves):
    figure = FIGURES["budget"].draw(curves, where={"goal": "targeted", "write_access": [0.4, 0.8]})
    assert {"targeted k=0.4", "random targeted k=0.8", "clean", "chance"} <= gids(figure)
    assert not any("untargeted" in (gid or "") or "k=0.2" in (gid or "") for gid in gids(figure))


def test_a_model_of_ones_own_is_chosen_with_its_code_or_without(curves):
    both = pd.concat([curves.assign(model=f"nets:make@{code}") for code in ("0123456789", "abcdefabcd")])
    with pytest.raises(TurncoatError, match="model is 'nets:make@0123456789' or 'nets:make@abcdefabcd'"):
        FIGURES["budget"].draw(both, where={"model": "nets:make"})
    for name, rows in (("nets:make@abcdefabcd", both), ("nets:make", both.iloc[: len(curves)])):
        assert "model nets:make@" in caption_of(FIGURES["budget"].draw(rows, where={"model": name}))


def test_a_rule_is_chosen_among_several(curves):
    optimal = curves[(curves["selection"] == "optimal") & (curves["write_access"] > 0)]
    both = pd.concat([curves, optimal.assign(selection="as_printed", accuracy=0.5)])
    with pytest.raises(TurncoatError, match="selection is 'optimal' or 'as_printed'; choose one"):
        FIGURES["budget"].draw(both)
    figure = FIGURES["budget"].draw(both, where={"selection": "as_printed"})
    line = next(a for a in figure.axes[0].lines if a.get_gid() == "untargeted k=0.8")
    np.testing.assert_allclose(line.get_ydata(), 0.5)
    assert "random untargeted k=0.8" in gids(figure)


def test_random_flips_stored_once_per_goal_count_once(curves, plainly):
    random = curves[curves["selection"] == "random"]
    twice = pd.concat([curves, random.assign(goal="targeted")])
    assert caption_of(FIGURES["budget"].draw(twice)) == caption_of(plainly("budget"))


def test_random_flips_alone_can_be_drawn(curves):
    alone = curves[(curves["write_access"] == 0) | (curves["selection"] == "random")]
    assert "The attack is random flips alone" in caption_of(FIGURES["heatmap"].draw(alone))


@pytest.mark.parametrize(
    ("column", "value"), [("scale", "raw"), ("model", "mlp"), ("learning_rate", 0.5), ("schedule", "step")]
)
def test_mixed_settings_are_named_and_can_be_chosen(curves, column, value, tmp_path):
    mixed = pd.concat([curves, curves.assign(**{column: value})])
    path = tmp_path / "budget.png"
    with pytest.raises(
        TurncoatError,
        match=f"mix several settings: {column} is .*; choose one with where, on the command line such as --where",
    ) as error:
        draw("budget", mixed, path)
    assert "\n" not in str(error.value)
    assert not path.exists()
    draw("budget", mixed, path, where={column: value})
    assert path.exists()


def test_a_column_that_is_not_known_does_not_mix_runs_silently(curves):
    mixed = pd.concat([curves.assign(depth=2), curves.assign(depth=3)])
    with pytest.raises(TurncoatError, match="depth is 2 or 3"):
        FIGURES["budget"].draw(mixed)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"name": "budgett"}, "unknown figure 'budgett'; did you mean 'budget'"),
        ({"metric": "acuracy"}, "unknown metric 'acuracy'; did you mean 'accuracy'"),
        ({"statistic": "mean"}, "unknown statistic 'mean'"),
        ({"where": {"scal": "unit"}}, "unknown column 'scal'; did you mean 'scale'"),
        ({"where": {"dataset": "mnist"}}, r"no results with dataset = 'mnist' \(there are: 'digits'\)"),
        (
            {"name": "epochs", "budgets": 0.33},
            r"no results with global budget 0\.33 \(there are: 0\.05, 0\.1",
        ),
        ({"name": "epochs", "budgets": []}, "there is no global budget: give at least one"),
        ({"name": "epochs", "statistic": "last"}, "figure 'epochs' has no statistic"),
        ({"name": "spread", "local_budget": 0.3}, r"no results with local budget 0\.3"),
        ({"name": "spread", "over": "acces"}, "unknown axis 'acces'"),
        ({"name": "budget", "over": "x"}, "unknown choice for figure 'budget' 'over'"),
        ({"name": "matrix"}, "the results have no column 'aggregator'"),
        ({"name": "visibility"}, "the results have no column 'round', 'worker', 'is_hostile', 'norm'"),
        ({"name": "heatmap", "metric": "test_loss"}, "unknown metric of a heat map 'test_loss'"),
    ],
)
def test_bad_choices_are_one_clear_line(curves, choices, message, tmp_path):
    with pytest.raises(TurncoatError, match=message) as error:
        draw(curves=curves, path=tmp_path / "picture.png", **({"name": "budget"} | choices))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_frames_with_nothing_to_draw(curves):
    clean = curves[curves["write_access"] == 0]
    one_seed = curves[curves["seed"] == 0]
    for name, frame, message in (
        ("budget", curves[:0], "the results are empty"),
        ("budget", curves.drop(columns="seed"), "no column 'seed'"),
        ("heatmap", clean, "only clean runs"),
        ("spread", one_seed, "needs two seeds or more"),
        ("harm", curves[curves["selection"] != "random"], "run the cells with selection 'random' too"),
        ("harm", curves[curves["write_access"] > 0], "needs the clean run of the same seed"),
        (
            "difference",
            curves[(curves["selection"] != "random") & (curves["goal"] != "targeted")],
            "neither both goals",
        ),
    ):
        with pytest.raises(TurncoatError, match=message):
            FIGURES[name].draw(frame)


def test_one_seed_and_no_clean_run_still_draw(curves):
    one = curves[(curves["seed"] == 0) & (curves["write_access"] > 0)]
    assert "1 seed," in caption_of(FIGURES["budget"].draw(one))
    difference = FIGURES["difference"].draw(one)
    assert all(text.get_weight() == "normal" for text in difference.axes[0].texts)


def test_a_matrix_wants_one_budget(matrix_curves):
    other = matrix_curves[matrix_curves["write_access"] > 0].assign(write_access=0.4)
    with pytest.raises(TurncoatError, match=r"write_access is 0\.4 or 0\.8"):
        FIGURES["matrix"].draw(pd.concat([matrix_curves, other]))


def test_visibility_refuses_what_it_cannot_compare(messages):
    with pytest.raises(TurncoatError, match="only one kind"):
        FIGURES["visibility"].draw(messages[messages["is_hostile"]])
    with pytest.raises(TurncoatError, match="finite messages of only one kind"):
        FIGURES["visibility"].draw(messages.assign(norm=messages["norm"].where(~messages["is_hostile"])))
    two = pd.concat([messages.assign(aggregator="mean"), messages.assign(aggregator="krum")])
    with pytest.raises(TurncoatError, match="aggregator is 'krum' or 'mean'"):
        FIGURES["visibility"].draw(two)


def test_visibility_leaves_out_what_is_not_finite_and_clean_runs(messages, plainly):
    norm = messages["norm"].where(messages.index != 7, np.inf)
    assert "1 messages that are not finite are left out" in caption_of(
        FIGURES["visibility"].draw(messages.assign(norm=norm))
    )
    attacked = messages.assign(write_access=0.2, selection="optimal", goal="untargeted")
    clean = attacked.assign(write_access=0.0, norm=1.0)
    random = attacked.assign(selection="random", norm=1.0)
    figure = FIGURES["visibility"].draw(
        pd.concat([attacked, clean, random], ignore_index=True), where={"selection": "optimal"}
    )
    alone = plainly("visibility")
    assert figure.axes[0].get_title(loc="left") == alone.axes[0].get_title(loc="left")


def test_small_budgets_get_a_logarithmic_axis(curves, plainly):
    small = curves.assign(write_access=curves["write_access"].replace(0.2, 0.001))
    assert FIGURES["budget"].draw(small).axes[0].get_xscale() == "log"
    assert plainly("budget").axes[0].get_xscale() == "linear"


def test_drawing_leaves_matplotlib_as_it_was(curves):
    before = dict(matplotlib.rcParams)
    FIGURES["budget"].draw(curves)
    assert dict(matplotlib.rcParams) == before
