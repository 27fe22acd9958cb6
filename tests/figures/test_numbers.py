import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from turncoat import metrics
from turncoat.figures import FIGURES, caption_of


def artist(figure, gid, kind="lines"):
    found = [a for ax in figure.axes for a in getattr(ax, kind) if a.get_gid() == gid]
    assert found, gid
    return found[0]


def cell(curves, k, b, goal="untargeted", rule="optimal", metric="accuracy"):
    """Tail means per seed, straight from the frame: the last of 12 epochs alone is 10 % of them."""
    rows = curves[(curves["write_access"] == k) & (curves["local_budget"] == b)]
    rows = rows[(rows["goal"] == goal) & (rows["selection"] == rule)]
    return np.array(
        [metrics.tail_mean(seed.sort_values("epoch")[metric].to_numpy()) for _, seed in rows.groupby("seed")]
    )


def ends(values):
    return stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))


def clean(curves):
    rows = curves[curves["write_access"] == 0]
    return np.array([metrics.tail_mean(seed["accuracy"].to_numpy()) for _, seed in rows.groupby("seed")])


def test_budget_lines_are_the_means_and_bands_the_intervals(curves):
    figure = FIGURES["budget"].draw(curves)
    for goal in ("untargeted", "targeted"):
        line = artist(figure, f"{goal} k=0.4")
        np.testing.assert_allclose(line.get_xdata(), [0.1, 0.2, 0.4])
        np.testing.assert_allclose(
            line.get_ydata(), [cell(curves, 0.4, b, goal).mean() for b in (0.25, 0.5, 1.0)]
        )
        random = artist(figure, f"random {goal} k=0.8")
        expected = [cell(curves, 0.8, b, rule="random").mean() for b in (0.25, 0.5, 1.0)]
        np.testing.assert_allclose(random.get_ydata(), expected)
        assert random.get_linestyle() == "--"
    band = artist(figure, "band targeted k=0.8", "collections").get_paths()[0].vertices
    low, high = ends(cell(curves, 0.8, 0.5, "targeted"))
    heights = band[np.isclose(band[:, 0], 0.4), 1]
    np.testing.assert_allclose([heights.min(), heights.max()], [low, high])
    assert artist(figure, "clean").get_ydata()[0] == pytest.approx(clean(curves).mean())
    assert artist(figure, "chance").get_ydata()[0] == pytest.approx(curves["chance"].iloc[0])


@pytest.mark.parametrize("metric", ["macro_f1", "test_loss"])
def test_budget_of_other_metrics_has_no_chance_line(curves, metric):
    figure = FIGURES["budget"].draw(curves, metric=metric)
    last = artist(figure, "untargeted k=0.8").get_ydata()[-1]
    assert last == pytest.approx(cell(curves, 0.8, 1.0, metric=metric).mean())
    assert not [line for ax in figure.axes for line in ax.lines if line.get_gid() == "chance"]


def test_statistic_last_takes_the_last_epoch(curves):
    longer = pd.concat([curves, curves.assign(epoch=curves["epoch"] + 12, accuracy=curves["accuracy"] / 2)])
    tail = artist(FIGURES["budget"].draw(longer), "untargeted k=0.8").get_ydata()
    last = artist(FIGURES["budget"].draw(longer, statistic="last"), "untargeted k=0.8").get_ydata()
    rows = longer[
        (longer["write_access"] == 0.8)
        & (longer["goal"] == "untargeted")
        & (longer["selection"] == "optimal")
    ]
    by_budget = rows.sort_values("local_budget").groupby("local_budget")
    np.testing.assert_allclose(last, [r[r["epoch"] == 24]["accuracy"].mean() for _, r in by_budget])
    np.testing.assert_allclose(tail, [r[r["epoch"] >= 23]["accuracy"].mean() for _, r in by_budget])


def test_heat_map_cells_and_the_numbers_in_them(curves):
    figure = FIGURES["heatmap"].draw(curves)
    for title, goal, rule in (
        ("optimal, untargeted", "untargeted", "optimal"),
        ("optimal, targeted", "targeted", "optimal"),
        ("random flips", "untargeted", "random"),
    ):
        mesh = artist(figure, title, "collections")
        expected = np.array(
            [[cell(curves, k, b, goal, rule).mean() for k in (0.2, 0.4, 0.8)] for b in (0.25, 0.5, 1.0)]
        )
        np.testing.assert_allclose(mesh.get_array(), expected)
        written = [text.get_text() for text in mesh.axes.texts]
        assert written == [f"{100 * value:.0f}" for value in expected.flat]


def test_heat_map_has_a_panel_for_each_rule(curves):
    own = curves[
        (curves["selection"] != "random") & (curves["goal"] == "untargeted") & (curves["write_access"] > 0)
    ]
    other = own.assign(selection="planned", accuracy=own["accuracy"] / 2)
    both = FIGURES["heatmap"].draw(pd.concat([curves[curves["goal"] == "untargeted"], other]))
    alone = FIGURES["heatmap"].draw(pd.concat([curves, other]), where={"selection": "planned"})
    titles = [ax.get_title() for ax in both.axes if ax.get_title()]
    assert len(titles) == 3 and titles[1:] == ["planned", "random flips"]
    meshes = [
        next(iter(figure.axes[place].collections)).get_array() for figure, place in ((both, 1), (alone, 0))
    ]
    np.testing.assert_array_equal(*meshes)
    assert "planned" in caption_of(both)


def test_heat_map_leaves_missing_cells_empty(curves):
    holes = curves[~((curves["write_access"] == 0.4) & (curves["local_budget"] == 0.5))]
    mesh = artist(FIGURES["heatmap"].draw(holes), "optimal, untargeted", "collections")
    assert np.ma.getmaskarray(mesh.get_array())[1, 1]
    assert len(mesh.axes.texts) == 8


def test_difference_is_paired_by_seed(curves):
    figure = FIGURES["difference"].draw(curves)
    mesh = artist(figure, "untargeted − targeted", "collections")
    gap = cell(curves, 0.8, 0.5) - cell(curves, 0.8, 0.5, "targeted")
    assert mesh.get_array()[1, 2] == pytest.approx(gap.mean())
    random = artist(figure, "optimal targeted − random", "collections")
    gap = cell(curves, 0.8, 1.0, "targeted") - cell(curves, 0.8, 1.0, rule="random")
    assert random.get_array()[2, 2] == pytest.approx(gap.mean())
    low, high = ends(gap)
    text = random.axes.texts[8]
    assert text.get_text() == f"{round(100 * gap.mean()):+d}".replace("-", "−")
    assert (text.get_weight() == "bold") == (low > 0 or high < 0)


def test_epochs_lines_are_means_over_seeds(curves):
    figure = FIGURES["epochs"].draw(curves, budgets=[0.2, 0.4])
    line = artist(figure, "targeted k=0.8 kb=0.4")
    rows = curves[(curves["write_access"] == 0.8) & (curves["local_budget"] == 0.5)]
    rows = rows[(rows["goal"] == "targeted") & (rows["selection"] == "optimal")]
    np.testing.assert_allclose(line.get_ydata(), rows.groupby("epoch")["accuracy"].mean())
    np.testing.assert_allclose(line.get_xdata(), np.arange(1, 13))
    assert len([ax for ax in figure.axes if ax.get_title(loc="left")]) == 4


def test_epochs_choose_the_budget_that_most_pairs_share(curves):
    # 0.2 = 0.2·1 = 0.4·0.5 = 0.8·0.25, the only budget with three pairs
    assert "k·b = 0.2." in caption_of(FIGURES["epochs"].draw(curves))


def test_a_run_that_stopped_early_keeps_its_last_value(curves):
    stopped = curves[~((curves["seed"] == 0) & (curves["epoch"] > 5))]
    line = artist(FIGURES["epochs"].draw(stopped, budgets=0.2), "untargeted k=0.4 kb=0.2")
    rows = curves[(curves["write_access"] == 0.4) & (curves["local_budget"] == 0.5)]
    rows = rows[(rows["goal"] == "untargeted") & (rows["selection"] == "optimal")]
    at = {(row["seed"], row["epoch"]): row["accuracy"] for _, row in rows.iterrows()}
    assert line.get_ydata()[-1] == pytest.approx((at[0, 5] + at[1, 12] + at[2, 12]) / 3)


def test_spread_is_the_standard_deviation_at_b_1(curves):
    figure = FIGURES["spread"].draw(curves)
    for goal in ("untargeted", "targeted"):
        expected = [cell(curves, k, 1.0, goal).std(ddof=1) for k in (0.2, 0.4, 0.8)]
        np.testing.assert_allclose(artist(figure, goal).get_ydata(), expected)
    expected = [cell(curves, k, 1.0, rule="random").std(ddof=1) for k in (0.2, 0.4, 0.8)]
    np.testing.assert_allclose(artist(figure, "random spread").get_ydata(), expected)
    assert artist(figure, "clean").get_ydata()[0] == pytest.approx(clean(curves).std(ddof=1))


def test_spread_over_the_global_budget(curves):
    figure = FIGURES["spread"].draw(curves, over="global_budget")
    expected = [cell(curves, 0.8, b).std(ddof=1) for b in (0.25, 0.5, 1.0)]
    np.testing.assert_allclose(artist(figure, "untargeted k=0.8").get_ydata(), expected)


def test_harm_is_clean_minus_attacked_seed_by_seed(curves):
    figure = FIGURES["harm"].draw(curves)
    point = next(
        c for c in figure.axes[0].containers if c.lines[0].get_gid() == "targeted k=0.8 b=0.5"
    ).lines[0]
    own = clean(curves) - cell(curves, 0.8, 0.5, "targeted")
    random = clean(curves) - cell(curves, 0.8, 0.5, rule="random")
    assert point.get_ydata()[0] == pytest.approx(own.mean())
    assert point.get_xdata()[0] == pytest.approx(random.mean())
    gaps = [
        cell(curves, k, b, rule="random") - cell(curves, k, b, goal)
        for k in (0.2, 0.4, 0.8)
        for b in (0.25, 0.5, 1.0)
        for goal in ("untargeted", "targeted")
    ]
    more = sum(ends(gap)[0] > 0 for gap in gaps)
    assert f"Of 18 cells, the attack surely harms more than random flips in {more} " in caption_of(figure)
    assert more > 9


def test_matrix_marks_the_worst_cases(matrix_curves):
    figure = FIGURES["matrix"].draw(matrix_curves)
    mesh = artist(figure, "matrix", "collections")
    values = np.asarray(mesh.get_array())
    names = [t.get_text() for t in mesh.axes.get_xticklabels()]
    rules = ["krum", "median", "mean"]  # from below
    rows = matrix_curves[(matrix_curves["aggregator"] == "median") & (matrix_curves["write_access"] > 0)]
    expected = cell(rows, 0.8, 1.0, "targeted").mean()
    assert values[rules.index("median"), names.index("optimal, targeted")] == pytest.approx(expected)
    assert artist(figure, "clean", "collections").get_array()[0, 0] == pytest.approx(
        clean(matrix_curves[matrix_curves["aggregator"] == "mean"]).mean()
    )
    worst = {
        (int(m.get_xdata()[0]), int(m.get_ydata()[0]))
        for m in mesh.axes.lines
        if m.get_gid() == "worst attack"
    }
    assert worst == {(int(line.argmin()), row) for row, line in enumerate(values)}
    worst = {
        (int(m.get_xdata()[0]), int(m.get_ydata()[0])) for m in mesh.axes.lines if m.get_gid() == "worst row"
    }
    assert worst == {(column, int(line.argmin())) for column, line in enumerate(values.T)}


def test_visibility_titles_and_shares(messages):
    figure = FIGURES["visibility"].draw(messages)
    hostile = messages["is_hostile"]
    ratio = messages["norm"][hostile].mean() / messages["norm"][~hostile].mean()
    auc = roc_auc_score(hostile, messages["norm"])
    assert figure.axes[0].get_title(loc="left") == f"norm: ratio hostile / honest {ratio:.3g}, AUC {auc:.3f}"
    assert (
        figure.axes[1].get_title(loc="left")
        == f"cosine: AUC {roc_auc_score(hostile, -messages['cosine']):.3f}"
    )
    outline = next(p for p in figure.axes[0].patches if p.get_gid() == "honest").get_xy()
    counts, _ = np.histogram(
        messages["norm"][~hostile], np.linspace(messages["norm"].min(), messages["norm"].max(), 31)
    )
    assert outline[:, 1].max() == pytest.approx(counts.max() / (~hostile).sum())
