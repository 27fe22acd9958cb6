"""What the command line refuses at once, in the words that were typed, and how it ends when it is cut off."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_said import Turncoat

from turncoat.analysis.reached import STATISTICS
from turncoat.attack import names as rules
from turncoat.attack.names import PLANNED, STRONGEST
from turncoat.attack.rivals import PARAMETRIC
from turncoat.attack.selection import SELECTIONS
from turncoat.cli import early
from turncoat.cli.options import PARTS, as_typed
from turncoat.data import SCALES
from turncoat.federation import AGGREGATORS, GRADIENT_ATTACKS, PREAGGREGATORS, names
from turncoat.fields import descriptions
from turncoat.figures import FIGURES
from turncoat.figures.cells import METRICS
from turncoat.models import FORMS, MODELS
from turncoat.sweep.cells import KEYS

WORDS = (PLANNED, STRONGEST)
AT_ONCE = """
import sys
from turncoat.cli import main
for words in {words}:
    sys.argv = ["turncoat", *words.split()]
    try:
        main()
    except SystemExit as ended:
        assert ended.code == 2, words
heavy = [name for name in ("torch", "pandas", "scipy", "sklearn", "matplotlib") if name in sys.modules]
assert not heavy, heavy
"""
REFUSED = {
    "attack": "--write-access is 0, so nothing is attacked",
    "attack --workers 3": "no worker is hostile",
    "attack --budget 3": "--budget is 3.0",
    "attack --hostile 2": "--hostile 2 needs workers: give workers too, such as --workers 10",
    "attack --workers 3 --hostile 4": "--hostile is 4, but there are only 3 workers",
    "attack --write-access 0.5 --batch-size 0": "--batch-size is 0",
    "attack --write-access 0.5 --learning-rate 1e300": "--learning-rate is 1e+300, but may be 1e+15 at most",
    "attack --write-access 0.5 --momentum 0.5 --optimizer adam": "leave --momentum out, or set --optimizer to",
    "attack --write-access 0.5 --goal targetted": "did you mean 'targeted'?",
    "attack --write-access 0.5 --model mpl": "did you mean 'mlp'?",
    "attack --write-access 0.5 --scale rwa": "did you mean 'raw'?",
    "attack --write-access 0.5 --selection optimla": "did you mean 'optimal'?",
    "attack --write-access 0.5 --strongest --selection cyclic": "but --selection cyclic names one: leave one of",
    "attack --write-access 0.5 --selection mimic": "such as --workers 10 and --hostile 2",
    "attack --write-access 0.5 --test-share 2": "--test-share is 2.0",
    "attack --workers 3 --hostile 1 --aggregator krmu": "did you mean 'krum'?",
    "attack --workers 3 --hostile 1 --aggregator krum+nnm": "aggregator 'krum+nnm' makes no sense",
    "attack --workers 3 --hostile 1 --partition shrads:2": "did you mean 'shards'?",
    "attack --workers 3 --hostile 1 --partition shards": "needs a number above 0 after the colon",
    "attack --write-access 0.5 --aware": "--aware True would do nothing: optimizer 'sgd' steps along",
    "attack --write-access 0.5 --precision half": "unknown precision 'half'",
    "attack --write-access 0.5 --precision bfloat16 --model cnn": "trains in float32: leave --precision out, or set",
    "attack --write-access 0.5 --precision bfloat16 --defence gce:0.7": "in float32: leave --precision out, or leave",
    "attack --workers 3 --hostile 1 --precision bfloat16": "in float32: leave --precision out, or leave --workers",
    "attack --write-access 0.5 --lr-schedule cosin": "did you mean 'cosine'?",
    "attack --write-access 0.5 --epochs 9 --lr-schedule step:9:0.1": "--lr-schedule 'step:9:0.1' would do nothing",
    "attack --write-access 0.5 --optimizer adamw": "set --weight-decay, such as 0.01, or set --optimizer to 'adam'",
    "attack --write-access 0.5 --warmup 200": "--warmup is 200, but there are only 200 epochs",
    "attack --write-access 0.5 --clip-norm -1": "--clip-norm is -1.0",
    "attack --write-access 0.5 --selection planned --clip-norm 1": "leave --clip-norm out, or set --selection to",
    "attack --write-access 0.5 --held-out 0.2": "--held-out 0.2 would do nothing: patience is 0",
    "attack --write-access 0.5 --schedule once --placement fixed": "--placement 'fixed' would do nothing: with",
    "attack --write-access 0.5 --schedule once --knowledge local": "--knowledge 'local' would do nothing: with",
    "attack --write-access 0.5 --selection random --knowledge local": "selection 'random' looks at nothing",
    "attack --write-access 0.5 --selection planned --optimizer adam": "set --optimizer to 'sgd'",
    "attack --write-access 0.5 --strongest --aware": "--aware True would do nothing: optimizer 'sgd' steps along",
    "attack --workers 3 --hostile 1 --placement resampled": "contradicts the rest: hostile workers keep their own",
    "attack --workers 3 --hostile 1 --write-access 0.5": "--write-access is hostile / workers in a federation",
    "figure heatmpa": "unknown figure 'heatmpa'; did you mean 'heatmap'?",
    "figure heatmap -o h.gif": "h.gif: a picture cannot end in",
    "figure": "which picture? type one of: budget, certificate, ",
    "figure heatmap --metric acuracy": "unknown metric 'acuracy'; did you mean 'accuracy'?",
    "figure heatmap --statistic tial": "unknown statistic 'tial'; did you mean 'tail'?",
    "figure heatmap --store gone.db": "gone.db: there is no such store; make one with: turncoat sweep",
    "results --store gone.db": "gone.db: there is no such store; make one with: turncoat sweep",
    "report --store gone.db": "gone.db: there is no such store; make one with: turncoat sweep",
    "results --store no/gone.db": "no/gone.db: there is no folder no",
    "results --store 0.toml": "0.toml is not a turncoat store",
    "reproduce B:fig88": "unknown artefact 'B:fig88'; did you mean 'B:fig8'?",
    "reproduce B:fig8 --scale rwa": "did you mean 'raw'?",
    "reproduce": "which artefacts? type names such as B:fig8",
}


FILES = {
    "wirte_access = 0.5": "0.toml: unknown key 'wirte_access'; did you mean 'write_access'?",
    "write_access = [0.5, 1]\nepochs = 0": "1.toml: epochs is 0",
    "workers = 3\nhostile = 4": "2.toml: hostile is 4, but there are only 3 workers",
    "write_access = 0.5\naware = true": "3.toml: aware True would do nothing: optimizer 'sgd' steps along",
    "write_access = 0.5\nheld_out = [0.1, 0.2]": "4.toml: held_out 0.2 would do nothing: patience is 0",
    "seeds = " + 5000 * "9": "5.toml: not TOML: ",
    "epochs = " + 3000 * "[" + 3000 * "]": "6.toml: not TOML: ",
    "write_access = 0.5\nselection = ['optimla']": "7.toml: unknown selection 'optimla'; did you mean 'optimal'?",
}


def test_what_needs_no_data_is_refused_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    """No clock: what takes the seconds is PyTorch, pandas and their like."""
    refused = dict(REFUSED)
    for number, (text, wanted) in enumerate(FILES.items()):
        (tmp_path / f"{number}.toml").write_text(text)
        refused[f"sweep {number}.toml"] = wanted
    script = AT_ONCE.format(words=list(refused))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    assert len(told) == len(refused) and not list(tmp_path.glob("*.db"))
    for line, wanted in zip(told, refused.values(), strict=True):
        assert line.startswith("turncoat: ") and wanted in line


def test_names_that_are_known_early_are_those_that_are_known() -> None:
    assert set(early.NAMES["model"]) == {*MODELS, *FORMS}
    assert set(early.NAMES["scale"]) == set(SCALES)
    others = (*WORDS, "imitate:ATTACK", "MODULE:CALLABLE")
    assert set(early.NAMES["selection"]) == {*SELECTIONS, *PARAMETRIC, *others}
    assert set(rules.SELECTIONS) == set(SELECTIONS) and set(rules.PARAMETRIC) == set(PARAMETRIC)
    assert set(rules.BLIND) == {name for name, rule in SELECTIONS.items() if rule.needs == "nothing"}
    assert set(early.DRAWN["figure"]) == set(FIGURES)
    assert set(early.DRAWN["metric"]) == set(METRICS)
    assert set(early.DRAWN["statistic"]) == set(STATISTICS)
    assert set(names.AGGREGATORS) == set(AGGREGATORS)
    assert set(names.PREAGGREGATORS) == set(PREAGGREGATORS)
    assert set(names.FORGED) == set(GRADIENT_ATTACKS)
    assert {name for part in PARTS for name in descriptions(part)} == set(KEYS)


@pytest.mark.parametrize(
    ("message", "typed"),
    [
        ("local_budget is 3, but", "--budget is 3, but"),
        ("set workers = 10 and hostile = 2", "set --workers 10 and --hostile 2"),
        (
            "set selection to 'optimal', or leave held_out out",
            "set --selection to 'optimal', or leave --held-out out",
        ),
        ("out of memory; a smaller batch_size", "out of memory; a smaller --batch-size"),
        ("mine.csv: label 3 in row 5 of the model", "mine.csv: label 3 in row 5 of the model"),
        ("column 'write_access' is missing", "column 'write_access' is missing"),
        ("goal 'targeted' would do nothing", "--goal 'targeted' would do nothing"),
    ],
)
def test_errors_are_said_in_the_words_that_were_typed(message: str, typed: str) -> None:
    assert as_typed(message) == typed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "--workers 10 --hostile 2 --placement resampled",
            "--placement 'resampled' contradicts the rest: hostile",
        ),
        ("--write-access 0.5 --schedule once --placement resampled", "flips stay where they were put before"),
        (
            "--workers 10 --hostile 2 --partition shards:99999",
            "--partition 'shards:99999' cuts 999990 slices",
        ),
        (
            "--write-access 0.5 --patience 2 --held-out 0.0001",
            "--held-out is 0.0001, which is no example of 1437: set --held-out to at least 0.000696",
        ),
    ],
)
def test_contradictions_are_refused(words: str, told: str, turncoat: Turncoat) -> None:
    said = turncoat("attack", *words.split(), "--epochs", 1, "--seeds", 1)
    assert said.status == 2 and said.out == "" and told in said.err and said.err.count("\n") == 1


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    command = f"set -o pipefail; {sys.executable} -u -m turncoat figure --list | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.count("\n") == 1


def test_ctrl_c_in_an_attack_promises_nothing(tmp_path: Path) -> None:
    words = "attack --write-access 0.5 --epochs 100000 --seeds 1 --device cpu"
    script = (
        "import sys, turncoat.training.run as run\n"
        "from turncoat.cli import main\n"
        "advance = run.StackRun.advance\n"
        "def told(of):\n"
        "    print('training', flush=True)\n"
        "    yield from advance(of)\n"
        "run.StackRun.advance = told\n"
        f"sys.argv = ['turncoat', *{words.split()!r}]\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "training\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert process.returncode == 130
    assert told.startswith("turncoat: stopped; an attack is trained in one go") and told.count("\n") == 1


def test_a_model_beyond_all_memory_is_told_in_a_line(turncoat: Turncoat) -> None:
    for model in ("mlp:100000000000", "cnn:1000000000000000000"):
        said = turncoat("attack", "--write-access", "0.5", "--seeds", "1", "-q", "--model", model)
        assert said.status == 2 and "out of memory" in said.err and said.err.count("\n") == 1, said.err
