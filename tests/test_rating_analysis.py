from __future__ import annotations

import math
import shutil
import sqlite3
import warnings

import numpy as np
import pandas as pd
import pytest
from outputs_tree import make_grid
from rating import METHODS, PREFERENCES, Panelist, begin, make_explanations, rate_all

from lavx.errors import RequestError
from lavx.rating import analysis
from lavx.rating.items import RATED
from lavx.rating.ratings import COLUMNS, KEYS, Ratings, export, read_ratings
from lavx.report.study import read_study
from lavx.report.user_study import user_figures, user_tables


def explanations(study):
    rows = [[getattr(i, key) for key in KEYS] for i in study.content.items.values() if i.role == RATED]
    return pd.DataFrame(rows, columns=list(KEYS))


def panel_of(run, *, clicker=True, **protocol):
    """A study that three experts have rated, and one who clicks at random."""
    study, store = begin(run, **protocol)
    panel = {f"expert {k}": Panelist(PREFERENCES, seed=k) for k in range(3)}
    if clicker:
        panel["clicker"] = Panelist(PREFERENCES, at_random=True, seed=2)
    for name, panelist in panel.items():
        rate_all(study, store, store.enroll(name).result(), panelist)
    store.close()
    export(study.file, run / "ratings.csv", run / "ratings.sqlite")
    return study


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = make_explanations(
        tmp_path_factory.mktemp("panel"), datasets=("one", "two"), nets={"tpn": (4, 16, 16), "tanet": (8, 16, 16)},
        n_videos=4,
    )  # fmt: skip
    panel_of(made, attention=5, repeats=12, practice=2)
    return made


@pytest.fixture(scope="module")
def study(run):
    return read_study(run.parent, run.name)


# --- A panel that is known ---


def test_the_preferences_of_a_panel_are_recovered(study):
    users = study.users
    means = analysis.method_means(users.ratings, users.kept).set_index("method")
    for method, preference in PREFERENCES.items():
        assert means.loc[method, "mean"] == pytest.approx(preference, abs=0.3)  # of -2 to 2, clipped and rounded
        assert means.loc[method, "low"] < preference < means.loc[method, "high"]
    assert means["mean"].idxmax() == "rise" and means["mean"].idxmin() == "univariate"
    found = analysis.differences(users.ratings, users.kept, METHODS).set_index(["method", "other"])
    assert found.loc[("rise", "univariate"), "p_holm"] < 0.01
    assert found.loc[("lime", "kernel_shap"), "p_holm"] > 0.2  # 0.1 apart
    assert found.loc[("lime", "rise"), "mean"] == pytest.approx(-0.9, abs=0.3)


def test_who_clicks_at_random_is_excluded_and_nobody_else(study):
    users = study.users
    assert users.kept == ["expert 0", "expert 1", "expert 2"]
    assert "unrelated" in users.broken["clicker"]
    assert set(study.ratings.rater) == set(users.kept)
    kept, everyone = (analysis.agreement(users.ratings, r) for r in (users.kept, list(users.broken)))
    assert everyone.alpha < kept.alpha and kept.low < kept.alpha < kept.high
    again = analysis.self_consistency(users.ratings).set_index("rater")
    assert (again.n == 12).all()
    experts = again.loc[users.kept]
    assert experts.difference.mean() < 0.8 * experts.chance.mean()
    assert again.loc["clicker"].difference > 0.7 * again.loc["clicker"].chance


def test_no_rule_excludes_nobody(run):
    assert len(read_study(run.parent, run.name, exclude=[]).users.kept) == 4


def test_figures_14_and_15_are_drawn_over_the_whole_scale(study):
    drawn = {name: figure for _, name, _, figure in user_figures(study)}
    assert set(drawn) == {"user_scores_by_method", "user_scores_by_network"}
    assert len(drawn["user_scores_by_network"].axes) == 4  # two datasets, two networks
    for figure in drawn.values():
        for axes in figure.axes:
            low, high = axes.get_ylim()
            assert low <= -2 and high >= 2 and len(axes.patches) == 6
    (axes,) = drawn["user_scores_by_method"].axes
    means = analysis.method_means(study.users.ratings, study.users.kept).set_index("method")["mean"]
    heights = [patch.get_height() for patch in axes.patches]
    assert heights == pytest.approx([means[m] for m in METHODS]) and min(heights) < 0


def test_the_tables_say_what_was_found(study):
    tables = {table.name: table for table in user_tables(study)}
    assert list(tables) == ["user_methods", "user_differences", "user_agreement", "user_raters", "user_metrics"]
    bold = tables["user_methods"].bold
    assert (METHODS.index("rise"), 1) in bold and (METHODS.index("univariate"), 1) not in bold
    raters = tables["user_raters"].frame.set_index("rater")
    assert (
        raters.loc["clicker", "excluded_by"].endswith("unrelated") and raters.loc["expert 0", "excluded_by"] == ""
    )
    assert (raters.answers == raters.questions).all() and (raters.median_seconds == 4).all()
    assert len(tables["user_differences"].frame) == 15 and len(tables["user_agreement"].frame) == 2
    for rule in analysis.RULES.values():
        assert rule in tables["user_raters"].note


def test_without_krippendorff_the_report_says_how_to_get_it(study, monkeypatch):
    def missing(package, extra):
        raise ModuleNotFoundError(f'No module named {package!r}: pip install "lavx[{extra}]"')

    monkeypatch.setattr(analysis, "import_extra", missing)
    (table,) = [t for t in user_tables(study) if t.name == "user_agreement"]
    assert 'pip install "lavx[rate]"' in table.note and table.frame.alpha.isna().all()


def test_a_panel_of_pairs_and_one_with_sliders_are_recovered(tmp_path):
    for design in ("pairs", "slider"):
        run = make_explanations(tmp_path, n_videos=5, name=design)
        panel_of(run, design=design, repeats=5, attention=4)
        users = read_study(tmp_path, design).users
        assert "clicker" not in users.kept and len(users.kept) == 3
        means = analysis.method_means(users.ratings, users.kept).set_index("method")["mean"]
        assert means.idxmax() == "rise" and means.idxmin() == "univariate"
        found = analysis.differences(users.ratings, users.kept, METHODS).set_index(["method", "other"])
        assert found.loc[("rise", "univariate"), "p_holm"] < 0.05
        if design == "pairs":
            assert means.mean() == pytest.approx(0.5)
            assert found.loc[("rise", "univariate"), "mean"] > 0.8  # wins minus losses
        assert analysis.agreement(users.ratings, users.kept).alpha > 0.2
        assert (analysis.self_consistency(users.ratings).n == 5).all()


# --- Agreement, against published examples ---

# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: four observers, twelve units.
_DATA = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def ratings_of(matrix, design="likert", low=1, high=5):
    rows = [
        {"rater": f"r{r}", "dataset": "d", "net": "n", "method": "m", "video_id": f"v{u}", "score": value,
         "kind": "rating", "other_method": "", "reaction_ms": 5000}
        for r, line in enumerate(matrix) for u, value in enumerate(line) if value is not None
    ]  # fmt: skip
    frame = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    return Ratings(frame, design, low, high)


@pytest.mark.parametrize("design, published", [("pairs", 0.743), ("likert", 0.815), ("slider", 0.849)])
def test_alpha_is_that_of_the_published_example(design, published):
    lines = [[None if v == "." else int(v) for v in line.split()] for line in _DATA.strip().splitlines()]
    given = ratings_of(lines, design)
    if design == "pairs":  # whose sides would be sorted
        given.frame["other_method"] = "z"
    found = analysis.agreement(given, ["r0", "r1", "r2", "r3"])
    assert found.alpha == pytest.approx(published, abs=5e-4)
    assert (found.n_raters, found.n_items) == (4, 11) and found.low < found.alpha < found.high


def test_alpha_is_one_for_the_same_and_about_zero_for_chance(rng):
    same = rng.integers(1, 6, 40).tolist()
    assert analysis.agreement(ratings_of([same, same]), ["r0", "r1"]).alpha == 1
    chance = [rng.integers(1, 6, 300).tolist() for _ in range(3)]
    found = analysis.agreement(ratings_of(chance), ["r0", "r1", "r2"])
    assert abs(found.alpha) < 0.1 and found.low < 0 < found.high


def test_alpha_needs_two_raters_and_a_difference():
    assert math.isnan(analysis.agreement(ratings_of([[1, 2, 3]]), ["r0"]).alpha)
    assert math.isnan(analysis.agreement(ratings_of([[2, 2], [2, 2]]), ["r0", "r1"]).alpha)


# --- Rules ---


def broken(matrix, **columns):
    given = ratings_of(matrix, low=-2, high=2)
    for name, value in columns.items():
        given.frame[name] = value
    return analysis.exclusions(given)["r0"]


def test_every_rule_excludes_what_it_says(rng):
    assert broken([[1] * 10]) == ["constant"]
    assert broken([[1] * 9]) == []
    assert broken([[1, 2, 0]], reaction_ms=999) == ["fast"]
    assert broken([[1, 2, 0]], reaction_ms=math.nan) == []
    given = ratings_of([[1, 2, 0, 1]], low=-2, high=2)
    given.frame["kind"] = ["rating", "rating", "attention", "attention"]
    assert analysis.exclusions(given)["r0"] == ["attention"]
    assert analysis.exclusions(given, ["constant", "fast"])["r0"] == []
    given.frame.loc[3, "score"] = 0  # neither agreed nor disagreed
    assert analysis.exclusions(given)["r0"] == []
    common = rng.integers(-2, 3, 30)
    other = np.clip(common + rng.integers(-1, 2, 30), -2, 2)
    assert broken([(-common).tolist(), common.tolist(), other.tolist()]) == ["unrelated"]
    assert broken([other.tolist(), common.tolist(), common.tolist()]) == []
    assert broken([(-common).tolist(), common.tolist()]) == []  # there is but one other


# --- Methods ---


def cells_of(values):
    """Cells of an array (raters, videos)."""
    rows = [(f"r{r}", f"v{v}", x) for r, line in enumerate(values) for v, x in enumerate(line)]
    return pd.DataFrame(rows, columns=["rater", "video", "value"])


def test_a_difference_with_two_random_effects_is_that_of_min_f(rng):
    values = rng.normal(0.5, 1, (4, 9)) + rng.normal(0, 0.5, (4, 1)) + rng.normal(0, 0.5, (1, 9))
    found = analysis.crossed(cells_of(values))
    f1 = values.mean() ** 2 / (values.mean(1).var(ddof=1) / 4)
    f2 = values.mean() ** 2 / (values.mean(0).var(ddof=1) / 9)
    min_f, freedom = f1 * f2 / (f1 + f2), (f1 + f2) ** 2 / (f1**2 / 8 + f2**2 / 3)  # Clark 1973
    from scipy import stats

    assert found.p == pytest.approx(stats.f.sf(min_f, 1, freedom))
    assert found.mean == pytest.approx(values.mean()) and found.low < found.mean < found.high


def simulated(rng, n, raters, videos, effect=0.0, of_raters=0.3, of_videos=0.5):
    shape = (n, raters, videos)
    return (
        effect + rng.normal(0, of_raters, (n, raters, 1)) + rng.normal(0, of_videos, (n, 1, videos))
        + rng.normal(0, 1, shape)
    )  # fmt: skip


@pytest.mark.parametrize("raters, videos, of_raters, of_videos", [
    (3, 30, 0.3, 0.5), (3, 30, 0.0, 0.0), (20, 8, 0.5, 0.5), (3, 60, 0.5, 0.0), (12, 12, 0.0, 0.5),
])  # fmt: skip
def test_intervals_cover_and_false_alarms_are_rare(rng, raters, videos, of_raters, of_videos):
    worst = (raters, of_videos) == (3, 0.0) and of_raters > 0  # 0.929
    values = simulated(rng, 4000, raters, videos, 0.4, of_raters, of_videos)
    _, low, high, p = analysis._min_f(values.mean((1, 2)), values.mean(2), values.mean(1))
    covered = ((low < 0.4) & (high > 0.4)).mean()
    assert covered > (0.915 if worst else 0.943)
    null = values - 0.4
    _, _, _, p = analysis._min_f(null.mean((1, 2)), null.mean(2), null.mean(1))
    assert (p < 0.05).mean() < (0.085 if worst else 0.057)


def test_who_has_hardly_begun_changes_hardly_anything(rng):
    """Raters who left after two videos have means of their own that are worth little."""
    covered, widths = 0, []
    for values in simulated(rng, 400, 5, 20, 0.4):
        cells = cells_of(values)
        started = cells[(cells.rater < "r3") | cells.video.isin(["v0", "v1"])]
        assert len(started) == 64
        found = analysis.crossed(started)
        whole = analysis.crossed(cells[cells.rater < "r3"])
        covered += found.low < 0.4 < found.high
        widths.append((found.high - found.low) / (whole.high - whole.low))
        assert found.mean == pytest.approx(started.value.mean())
    assert covered / 400 > 0.93 and 0.8 < np.median(widths) < 1.2


def test_a_paired_difference_is_near_that_of_a_mixed_model(rng):
    """Crossed random effects, fitted by statsmodels, on the differences of two methods."""
    mixed = pytest.importorskip("statsmodels.regression.mixed_linear_model")
    cells = cells_of(simulated(rng, 1, 12, 15, 0.6, 0.5, 0.6)[0])
    parts = {"rater": "0 + C(rater)", "video": "0 + C(video)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = mixed.MixedLM.from_formula("value ~ 1", cells, groups=np.ones(len(cells)), vc_formula=parts)
        fit = model.fit(reml=True)
    found = analysis.crossed(cells)
    assert found.mean == pytest.approx(fit.params["Intercept"], abs=1e-6)
    error = (found.high - found.low) / 2 / 2.05  # of about 26 degrees of freedom
    assert 0.98 < error / fit.bse["Intercept"] < 1.3  # min F' errs on the safe side


def test_with_one_rater_only_videos_are_random(rng):
    found = analysis.crossed(cells_of(rng.normal(1, 1, (1, 20))))
    assert found.n_raters == 1 and 0 < found.low < found.high
    one_video = analysis.crossed(cells_of(rng.normal(1, 1, (5, 1))))
    assert math.isnan(one_video.p) and math.isnan(one_video.low)


def test_equal_scores_are_no_error():
    found = analysis.crossed(cells_of(np.zeros((3, 4))))
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert analysis.crossed(cells_of(np.ones((3, 4)))).p == 0


def test_holm():
    assert analysis.holm([0.01, 0.04, math.nan, 0.03]) == pytest.approx([0.03, 0.06, math.nan, 0.06], nan_ok=True)


def test_people_and_metrics_that_agree_correlate(rng):
    keys = [("d", "n", m, f"v{k}") for k in range(8) for m in METHODS]
    table = pd.DataFrame(keys, columns=list(KEYS))
    table["good"] = rng.normal(size=len(table))
    table["bad"], table["none"] = -table.good, rng.normal(size=len(table))
    scores = table.assign(score=table.good.rank())
    found = analysis.metric_correlations(scores, table, [("good", True), ("bad", False), ("none", True)])
    assert found["mean"].tolist()[:2] == pytest.approx([1, 1]) and (found.n == 8).all()
    assert found.low[2] < 0 < found.high[2]


# --- Power ---


def test_power_is_that_of_studies_of_that_size(rng):
    spread = analysis.Spread(rater=0.2, video=0.4, noise=0.7)
    expected = analysis.power(6, 20, 0.6, spread, scale=(-50, 50), n_studies=4000)
    effect = np.sqrt(2) * np.array([0.2, 0.4, 0.7])
    shape = (4000, 6, 20)
    values = 0.6 + rng.normal(0, effect[0], (4000, 6, 1)) + rng.normal(0, effect[1], (4000, 1, 20))
    values = values + rng.normal(0, effect[2], shape) + rng.uniform(-0.5, 0.5, shape)
    _, _, _, p = analysis._min_f(values.mean((1, 2)), values.mean(2), values.mean(1))
    assert expected == pytest.approx((p < 0.05).mean(), abs=0.04)


def test_power_grows_with_what_it_should():
    base = analysis.power(4, 15, 0.5)
    assert analysis.power(4, 15, 0.0) < 0.06
    for larger in (analysis.power(12, 15, 0.5), analysis.power(4, 15, 0.9), analysis.power(4, 60, 0.5)):
        assert larger > base
    assert analysis.power(4, 15, 0.5, videos_per_rater=5) < base
    assert analysis.power(4, 15, 0.5, n_nets=3) > base
    assert 0.3 < analysis.power(12, 15, 0.9, pairs=True) <= 1


# --- The table ---


def test_the_table_holds_everything(run):
    frame = pd.read_csv(run / "ratings.csv")
    assert list(frame.columns) == list(COLUMNS)
    per_rater = frame.groupby(["rater", "kind"]).size().unstack()
    assert (per_rater == {"attention": 5, "practice": 2, "rating": 96, "repeat": 12}).all(axis=None)
    assert set(frame.low) == {-2} and set(frame.high) == {2} and set(frame.design) == {"likert"}


def test_the_copy_holds_no_secrets(run):
    with sqlite3.connect(run / "ratings.sqlite") as db:
        assert db.execute("SELECT COUNT(*) FROM raters WHERE link IS NOT NULL").fetchone()[0] == 0
        assert db.execute("SELECT COUNT(*) FROM answers").fetchone()[0] == 4 * 115
    db.close()
    with sqlite3.connect(run / "rating" / "ratings.sqlite") as db:
        links = [row[0] for row in db.execute("SELECT link FROM raters")]
        links += [row[0] for row in db.execute("SELECT value FROM study WHERE key = 'key'")]
    db.close()
    content = (run / "ratings.sqlite").read_bytes()
    assert len(links) == 5 and not [link for link in links if link.encode() in content]


def test_export_while_raters_answer_disturbs_nobody(tmp_path):
    run = make_explanations(tmp_path, methods=("rise", "lime"))
    study, store = begin(run, remarks=True)
    rater = store.enroll().result()
    state = store.agree(rater.link).result()
    remark = '=cmd|calc, "quoted"\nnext line'
    state = store.answer(rater.link, state.token, 0, 2, None, remark).result()
    undone = store.undo(rater.link, state.last, 0).result()
    state = store.answer(rater.link, undone.token, 1, -1, 1234, remark).result()
    assert export(study.file, run / "ratings.csv", run / "ratings.sqlite") == 1
    row = pd.read_csv(run / "ratings.csv").iloc[0]
    assert (row.score, row.taken_back, row.reaction_ms) == (-1, 1, 1234)
    assert row.remark == '\'=cmd|calc, "quoted"\\nnext line'
    assert store.answer(rater.link, state.token, 0, 2, None, "").result().done == 2
    store.close()


def test_a_table_of_ones_own_is_not_written_over(tmp_path):
    run = make_explanations(tmp_path, methods=("rise",), n_videos=1)
    study, store = begin(run)
    store.close()
    (run / "ratings.csv").write_text("rater,score\nme,1\n")
    with pytest.raises(RequestError, match="was not written by lavx rate export. Move it away first"):
        export(study.file, run / "ratings.csv", run / "ratings.sqlite")
    with pytest.raises(RequestError, match="holds no study. Begin one with lavx rate"):
        export(tmp_path / "none.sqlite", tmp_path / "a.csv", tmp_path / "b.sqlite")


HEAD = "rater,dataset,net,method,video_id,score\n"


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("grid")
    make_grid(outputs, datasets=("one",), nets=("tpn",), methods=("rise",), n_videos=2)
    return read_study(outputs, "default").table


@pytest.mark.parametrize("text, message", [
    (HEAD + "a,one,tpn,rise,one-00,1\na,one,tpn,rise,one-01,3\n",
     "line 3: the score must be from -2 to 2, got 3. If your scale is another one, say so: scale="),
    (HEAD + "a,one,tpn,rise,one-00,-2.5\n", "line 2: the score must be from -2 to 2, got -2.5"),
    (HEAD + "a,one,tpn,rise,one-00,nan\n", "line 2: the score must be from -2 to 2, got nan"),
    (HEAD + "a,one,tpn,rise,one-00,good\n", "line 2: the score must be a number from -2 to 2, got 'good'"),
    (HEAD + "a,one,tpn,rise,one-00,\n", "line 2: the score must be a number from -2 to 2, got ''"),
    (HEAD + "a,one,tpn,lime,one-00,1\n", "line 2: there is no explanation one / tpn / lime / one-00 in"),
    (HEAD + '"a\nb",one,tpn,rise,one-00,1\nc,two,tpn,rise,one-00,1\n', "line 4: there is no explanation two /"),
    (HEAD + "a,one,tpn,rise,one-00,1\na,one,tpn,rise,one-00,2\n", "line 3: rater a scored .* in line 2 already"),
    (HEAD + " ,one,tpn,rise,one-00,1\n", "line 2: the rater must have a name"),
    ("kind," + HEAD + "joke,a,one,tpn,rise,one-00,1\n", "line 2: kind must be one of practice, rating, attention"),
    ("rater,score\na,1\n", "lacks the columns dataset, net, method, video_id"),
    ("design," + HEAD + "likert,a,one,tpn,rise,one-00,1\npairs,a,one,tpn,rise,one-01,1\n", "several values of"),
    (HEAD + "a,one,tpn,rise,one-00,\xff\n", "it is no CSV in UTF-8"),
])  # fmt: skip
def test_what_is_wrong_in_a_table_is_refused_with_its_line(tmp_path, grid, text, message):
    (tmp_path / "ratings.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(RequestError, match=message):
        read_ratings(tmp_path / "ratings.csv", grid)


def test_a_table_by_hand_is_enough(tmp_path, grid):
    file = tmp_path / "ratings.csv"
    file.write_text("\ufeff" + HEAD + "a,one,tpn,rise,one-00,4\n\na,one,tpn,rise,one-01,5\n", encoding="utf-8")
    found = read_ratings(file, grid, scale=(1, 5))
    assert found.scores(["a"]).score.tolist() == [4, 5] and found.design == "likert"
    file.write_text(HEAD)
    assert read_ratings(file, grid) is None and read_ratings(tmp_path / "none.csv", grid) is None


def test_a_report_without_any_kept_rater_has_no_scores(tmp_path):
    run = make_explanations(tmp_path, n_videos=2)
    study, store = begin(run)
    rater = store.enroll().result()
    rate_all(study, store, rater, Panelist(dict.fromkeys(METHODS, 5), noise=0, seed=0))
    store.close()
    export(study.file, run / "ratings.csv", run / "ratings.sqlite")
    found = read_study(tmp_path, "default")
    assert found.users.broken == {"r001": ["constant"]} and found.ratings is None
    assert [table.name for table in user_tables(found)] == ["user_agreement", "user_raters"]
    assert list(user_figures(found)) == []
    shutil.rmtree(run)
