import csv
import html
import json
import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from browser import opened, wait
from matplotlib.backends.backend_agg import FigureCanvasAgg
from omegaconf import OmegaConf
from outputs_tree import make_cell, make_grid
from scipy import stats

from lavx.commands import sweep
from lavx.commands.report import report
from lavx.errors import RequestError
from lavx.experiments import status
from lavx.experiments.record import VERSION, VideoRecord
from lavx.experiments.variation import Variation
from lavx.methods.visualization import Heatmap, PosNeg
from lavx.report import figures, panels, tables, write_report
from lavx.report.hypotheses import FAILS, HOLDS, UNTESTED
from lavx.report.methods_table import methods_table
from lavx.report.study import CONTROLS, METHODS, read_study
from lavx.report.verdicts import check_claims
from lavx.types import Evidence

SETTINGS = {
    "name": "default",
    "nets": [],
    "methods": [],
    "panels": 1,
    "embed": False,
    "scale": [-2, 2],
    "exclude": [],
}
VIDEOS = [f"v{k}" for k in range(6)]


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("grid")
    make_grid(outputs)
    rows = [("rater", "dataset", "net", "method", "video_id", "score")]
    for rater in ("a", "b"):
        for k, method in enumerate(METHODS):
            rows += [(rater, "one", "tpn", method, f"one-{v:02d}", 2 - k % 5) for v in range(6)]
    with (outputs / "default" / "ratings.csv").open("w") as file:
        csv.writer(file).writerows(rows)
    make_cell(outputs, ("one", "tpn", "lime"), [f"one-{k:02d}" for k in range(6)], pictures=True)
    return outputs


@pytest.fixture(scope="module")
def made(grid):
    return write_report(grid, "default", panels=1)


def table(made, name):
    return pd.read_csv(made.folder / "tables" / f"{name}.csv")


def test_the_report_holds_every_table_and_figure_in_every_form(made):
    names = {"auc", "further_metrics", "minimal_masks_deletion", "minimal_masks_insertion", "user_scores",
             "user_methods", "user_differences", "user_agreement", "user_raters", "user_metrics",
             "timings", "stages", "average_ranks", "tests", "coverage", "methods"}  # fmt: skip
    written = {p.name for p in (made.folder / "tables").iterdir()}
    assert written == {f"{n}.{kind}" for n in names for kind in ("csv", "md", "tex")} | {"claims.csv", "claims.md"}
    drawn = {p.stem for p in (made.folder / "figures").glob("*.png")}
    assert drawn == {p.stem for p in (made.folder / "figures").glob("*.pdf")}
    every = {f"{name}_all" for name in ("auc", "timings", "minimal_masks_deletion")}
    assert every | {"auc_one", "auc_two", "timings_one", "minimal_masks_deletion_two", "ranks_deletion_auc",
            "ranks_rating", "further_metrics_one", "user_scores_by_method",
            "user_scores_by_network", "panel_one_tpn_one-00"} <= drawn  # fmt: skip
    assert [p.name for p in made.study.folder.glob(".report*")] == [".report.lock"]


def test_every_mean_of_a_cell_is_that_of_its_results_csv(grid, made):
    for name in ("auc", "further_metrics", "stages"):
        rows = table(made, name)
        rows = rows[(rows.net != "all")]
        assert len(rows) and rows.groupby("metric").size().eq(2 * 2 * 9).all()
        for row in rows.itertuples():
            results = pd.read_csv(grid / "default" / row.dataset / row.net / row.method / "results.csv")
            assert (row.n, row.mean) == (len(results), pytest.approx(results[row.metric].mean()))
            assert row.low <= row.mean <= row.high


def test_every_mean_over_networks_is_that_of_the_videos(grid, made):
    rows = table(made, "auc")
    for row in rows[rows.net == "all"].itertuples():
        found = []
        for dataset in ("one", "two") if row.dataset == "all" else (row.dataset,):
            cells = [
                pd.read_csv(grid / "default" / dataset / n / row.method / "results.csv") for n in ("tanet", "tpn")
            ]
            found += list(pd.concat(cells).groupby("video_id")[row.metric].mean())
        assert (row.n, row.mean) == (len(found), pytest.approx(np.mean(found)))


def test_the_parts_of_the_timings_are_sums_of_stages(grid, made):
    rows = (
        table(made, "timings").query("net == 'tpn' and dataset == 'one' and method == 'rise'").set_index("metric")
    )
    results = pd.read_csv(grid / "default" / "one" / "tpn" / "rise" / "results.csv")
    explanation = results.seconds_perturbation + results.seconds_summary
    expected = {"part_segmentation": results.seconds_segmentation, "part_inference": results.seconds_inference,
                "part_explanation": explanation, "part_outside": explanation + results.seconds_segmentation,
                "part_total": explanation + results.seconds_segmentation + results.seconds_inference}  # fmt: skip
    assert rows["mean"].to_dict() == pytest.approx({k: v.mean() for k, v in expected.items()})


@pytest.mark.parametrize("game", ["deletion", "insertion"])
def test_minimal_masks_count_what_is_never_reached_and_average_the_rest(grid, made, game):
    rows = table(made, f"minimal_masks_{game}").query("net != 'all'")
    for row in rows.itertuples():
        files = sorted((grid / "default" / row.dataset / row.net / row.method).glob("videos/*/metrics.json"))
        given = [json.loads(f.read_text())["minimal_masks"][game][str(row.threshold)] for f in files]
        reached = [v for v in given if v is not None]
        assert (row.n, row.n_reached) == (len(given), len(reached))
        assert row.share_reached == pytest.approx(len(reached) / len(given))
        assert math.isnan(row.mean) if not reached else row.mean == pytest.approx(np.mean(reached))
    if game == "deletion":
        assert (rows.n_reached == 0).any() and (rows.share_reached == 1).any()  # both kinds were tried


def test_ranks_and_tests_are_those_of_scipy_on_the_shared_videos(grid, made):
    cells = {m: pd.read_csv(grid / "default" / "one" / "tpn" / m / "results.csv") for m in METHODS}
    values = np.stack([cells[m].deletion_auc for m in METHODS], axis=1)
    where = "metric == 'deletion_auc' and dataset == 'one' and net == 'tpn' and not controls"
    ranks = table(made, "average_ranks").query(where).set_index("method").average_rank
    assert ranks.to_dict() == pytest.approx(
        dict(zip(METHODS, stats.rankdata(values, axis=1).mean(0), strict=True))
    )
    row = table(made, "tests").query(where).iloc[0]
    statistic, p = stats.friedmanchisquare(*values.T)
    assert (row.chi2, row.p) == pytest.approx((statistic, p))
    assert (
        row.critical_difference == pytest.approx(2.850 * math.sqrt(42 / 36), abs=1e-3)
        and row.n == 6
        and row.k == 6
    )


def test_controls_are_in_every_table_of_methods(made):
    for name in (
        "auc",
        "further_metrics",
        "minimal_masks_deletion",
        "timings",
        "stages",
        "average_ranks",
        "coverage",
    ):
        assert set(CONTROLS) <= set(table(made, name).method)


def test_user_scores_are_averaged_over_raters(made):
    rows = table(made, "user_scores").query("net == 'tpn'").set_index("method")
    assert rows["mean"].to_dict() == {m: 2 - k % 5 for k, m in enumerate(METHODS)} and (rows.n == 6).all()


def test_ratings_without_their_columns_are_refused(tmp_path):
    make_cell(tmp_path, ("one", "tpn", "lime"), VIDEOS)
    (tmp_path / "default" / "ratings.csv").write_text("rater,score\na,3\n")
    with pytest.raises(RequestError, match="lacks the columns dataset, net, method, video_id"):
        read_study(tmp_path, "default")


def test_the_same_results_give_the_same_bytes(tmp_path):
    make_grid(tmp_path, datasets=("one",), nets=("tpn",), methods=("lime", "rise", "loco", "random"))
    first = write_report(tmp_path, "default", panels=0).folder
    kept = {p.relative_to(first): p.read_bytes() for p in first.rglob("*") if p.is_file()}
    (first / "stale.txt").touch()
    again = write_report(tmp_path, "default", panels=0).folder
    assert {p.relative_to(again): p.read_bytes() for p in again.rglob("*") if p.is_file()} == kept


def test_what_is_missing_is_named_and_what_is_there_reported(tmp_path):
    make_grid(tmp_path, datasets=("one",), nets=("tpn",), methods=("lime", "rise"))
    make_cell(tmp_path, ("one", "tpn", "loco"), ["one-00", "one-01"])
    make_cell(tmp_path, ("one", "tpn", "center"), [])
    broken = make_cell(tmp_path, ("one", "tpn", "univariate"), [])
    broken.write_record(VideoRecord.failed("one-00", None, "too short"))
    study = read_study(tmp_path, "default", ["tpn", "tanet"], METHODS)
    assert "one / tpn / loco: 4 of 6 videos (one-02, one-03, one-04, ...)" in study.missing
    assert "one / tpn / kernel_shap: the whole cell" in study.missing
    assert "one / tpn / center: the whole cell" in study.missing
    assert "one / tanet: every method" in study.missing
    assert study.failures == ["one / tpn / univariate / one-00: too short"]
    counts = study.coverage.set_index(["net", "method"])
    assert counts.loc[("tpn", "loco"), ["done", "missing"]].tolist() == [2, 4]
    assert counts.loc[("tpn", "univariate"), ["failed", "missing"]].tolist() == [1, 5]
    page = (write_report(tmp_path, "default", ["tpn"], METHODS, 0).folder / "index.html").read_text()
    assert "one / tpn / kernel_shap: the whole cell" in page and "too short" in page


def test_a_method_that_has_only_begun_does_not_shrink_the_comparison(tmp_path):
    make_grid(tmp_path, datasets=("one",), nets=("tpn",), methods=("lime", "rise", "kernel_shap"))
    make_cell(tmp_path, ("one", "tpn", "loco"), ["one-00"])
    make_cell(tmp_path, ("one", "tpn", "random"), [f"one-{k:02d}" for k in range(20)])  # controls are not counted
    found = [r for r in tables.rankings(read_study(tmp_path, "default")) if r.metric.key == "deletion_auc"]
    assert [(r.controls, r.comparison.n, list(r.comparison.average.index)) for r in found] == [
        (False, 6, ["lime", "kernel_shap", "rise"]), (True, 6, ["lime", "kernel_shap", "rise", "random"]),
    ]  # fmt: skip


def test_one_explained_video_is_enough_for_a_report(tmp_path):
    make_cell(tmp_path, ("one", "tpn", "lime"), ["a"], truth=False, pictures=True)
    made = write_report(tmp_path, "default")
    assert {i.verdict.status for i in made.checked} == {UNTESTED}
    assert (made.folder / "figures" / "panel_one_tpn_a.png").exists()


@pytest.mark.parametrize("how", ["absent", "empty", "other name", "nothing explained"])
def test_nothing_to_report_says_what_to_run(tmp_path, how):
    outputs = tmp_path / "out"
    if how == "empty":
        outputs.mkdir()
    if how == "other name":
        make_cell(outputs, ("one", "tpn", "lime"), ["a"], name="study")
    if how == "nothing explained":
        make_cell(outputs, ("one", "tpn", "lime"), [])
    with pytest.raises(RequestError, match=f"lavx run name=default outputs={outputs}") as error:
        read_study(outputs, "default")
    assert ("There are runs named study: name=..." in str(error.value)) == (how == "other name")


def test_a_damaged_result_is_named(tmp_path):
    cell = make_cell(tmp_path, ("one", "tpn", "lime"), ["a"])
    (cell.folder("a") / "metrics.json").write_text("{}")
    with pytest.raises(RequestError, match="a/metrics.json is no result of lavx run.*Run the cell again"):
        read_study(tmp_path, "default")


def test_a_result_of_a_newer_lavx_is_told_from_a_damaged_one(tmp_path):
    cell = make_cell(tmp_path, ("one", "tpn", "lime"), ["a"])
    (cell.folder("a") / "metrics.json").write_text(json.dumps({"version": VERSION + 1}))
    with pytest.raises(RequestError, match="a/metrics.json: a newer lavx wrote it.*Update lavx") as error:
        read_study(tmp_path, "default")
    assert "again" not in str(error.value)


@pytest.mark.parametrize("key, value, message", [
    ("panels", -1, "panels must be a whole number >= 0, or null for all, got -1"),
    ("embed", 3, "embed must be true or false, got 3"),
    ("scale", [5, 1], r"scale must be \[smallest, largest\] user score, such as \[1,5\], got \[5, 1\]"),
    ("exclude", ["bad"], "exclude must be a list of the rules attention, constant, fast, unrelated, or"),
])  # fmt: skip
def test_invalid_settings_are_refused(tmp_path, key, value, message):
    with pytest.raises(RequestError, match=message):
        report(OmegaConf.create(SETTINGS | {"outputs": str(tmp_path), key: value}))


def test_the_table_of_methods_is_what_the_cells_were_composed_of(tmp_path):
    cell = make_cell(tmp_path, ("one", "tpn", "lime"), ["a", "b"])
    parts = {"_target_": "lavx.explainer.Explainer",
             "segmentation": {"_target_": "lavx.methods.segmentation.Slic", "n_segments": 200, "spacing": [1, 2]},
             "behavior": {"_target_": "lavx.methods.behavior.Probability"}}  # fmt: skip
    (cell.path / "config.yaml").write_text(json.dumps({"seed": 0, "method": parts}))
    make_cell(tmp_path, ("one", "tpn", "random"), ["a", "b"])
    found = methods_table(read_study(tmp_path, "default")).frame.set_index("step")
    assert found.lime["Segmentation"] == "Slic(n_segments=200, spacing=[1, 2])"
    assert (found.lime["Behavior"], found.lime["Regions, mean"], found.lime["Samples, mean"]) == (
        "Probability",
        "9",
        "20",
    )
    assert (
        found["random"]["Selection"] == "\N{EN DASH}" and found["random"]["Visualization"] == "PosNeg(alpha=0.5)"
    )


def test_latex_is_escaped():
    assert tables.latex(r"a_b & 5 % of {x} #1 $~^\ χ² τ – ·") == (
        r"a\_b \& 5 \% of \{x\} \#1 \$\textasciitilde{}\textasciicircum{}\textbackslash{} $\chi^2$ $\tau$ -- "
        r"\textperiodcentered{}"
    )


def test_a_variants_name_is_escaped_in_every_form(tmp_path):
    variant = "lime-removal=blur_x"
    make_grid(tmp_path, datasets=("a_<b>",), nets=("tpn",), methods=("rise", variant))
    made = write_report(tmp_path, "default", panels=0)
    assert r"LIME, removal=blur\_x" in (made.folder / "tables" / "auc.tex").read_text()
    assert r"a\_\<b\>" in (made.folder / "tables" / "auc.md").read_text()
    page = (made.folder / "index.html").read_text()
    assert "a_&lt;b&gt;" in page and "<b>" not in re.sub(r'<script type="application/json".*?</script>', "", page)


def test_the_tex_has_as_many_cells_in_every_line(made):
    for file in (made.folder / "tables").glob("*.tex"):
        text = file.read_text()
        columns = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", text)[1])
        lines = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert len(lines) > 1 and all(len(re.findall(r"(?<!\\)&", line)) == columns - 1 for line in lines)


def test_the_page_asks_for_nothing_from_the_network(made):
    page = (made.folder / "index.html").read_text()
    assert not re.search(r"https?://|//[a-z]+\.[a-z]", page)
    assert "Content-Security-Policy\" content=\"default-src 'none';" in html.unescape(page)
    for link in re.findall(r'(?:src|href)="(?!data:|#)([^"]+)"', page):
        assert (made.folder / link).exists(), link
    entries = json.loads(re.search(r'id="entries">(.*?)</script>', page)[1])
    assert len(entries) == 2 * 2 * 9 * 6
    shown = [e for e in entries if e["overlay"]]
    assert len(shown) == 6 and all((made.folder / e["overlay"]).exists() for e in shown)


ODD = "<!--<script>alert(1)</script> & 'x' \"y\""


@pytest.fixture(scope="module")
def odd_page(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("odd")
    cell = make_cell(outputs, ("one", "tpn", "lime"), [ODD, "a"])
    cell.write_record(VideoRecord.failed("b", None, ODD))
    return write_report(outputs, "default").folder / "index.html"


def test_no_name_can_break_the_page(odd_page):
    page = odd_page.read_text()
    start = page.index('id="entries">') + len('id="entries">')
    stored = page[start : page.index("</script>", start)]
    assert "<" not in stored and "\\u003c" in stored
    assert [entry["video"] for entry in json.loads(stored)] == [ODD, "a"]
    assert ODD not in page and page.count("<script") == page.count("</script>") == 2
    assert f"one / tpn / lime / b: {ODD}" in html.unescape(page)


def test_the_overlays_can_be_embedded(tmp_path):
    make_cell(tmp_path, ("one", "tpn", "lime"), ["a"], pictures=True)
    page = (write_report(tmp_path, "default", embed=True).folder / "index.html").read_text()
    assert "data:video/mp4;base64," in page and "overlay.mp4" not in page and 'src="figures' not in page


def images_of(figure):
    return [image.get_array() for axes in figure.axes for image in axes.get_images()]


def test_a_panel_is_drawn_from_frames_and_heatmap_as_the_cell_draws_them(tmp_path):
    place = make_cell(tmp_path, ("one", "tpn", "lime"), ["a"], pictures=True).folder("a")
    (place / "overlay.mp4").unlink()
    study_panels = panels.Panels(read_study(tmp_path, "default"))
    frame, overlay = images_of(study_panels.draw("one", "tpn", "a"))
    with np.load(place / "explanation.npz") as stored:
        frames, heatmap = stored["frames"], stored["heatmap"]
    hottest = panels.heat(PosNeg(alpha=0.5).draw(frames, Evidence(heatmap)), heatmap).argmax()
    np.testing.assert_array_equal(frame, frames[hottest])
    np.testing.assert_array_equal(overlay, PosNeg(alpha=0.5)(frames, heatmap)[hottest])
    assert study_panels.notes() == [] and (overlay != frame).any()


@pytest.mark.parametrize("config, reason", [
    ("seed: 0", "its config.yaml names no visualization"),
    ("method: {visualization: {alpha: 0.5}}", "its config.yaml names no visualization"),
    ("method: [", "its config.yaml names no visualization"),
    ("method: {visualization: {_target_: os.system, command: 'touch pwned'}}",
     "its visualization system is none of lavx's own"),
    ("method: {visualization: {_target_: Heatmap, glow: 1}}",
     "its visualization Heatmap has parameters that this lavx does not take"),
    ("method: {visualization: {_target_: Heatmap, alpha: 2}}",
     "its visualization Heatmap has parameters that this lavx does not take"),
])  # fmt: skip
def test_a_panel_without_the_cells_visualization_has_the_usual_colors_and_says_so(tmp_path, config, reason):
    cell = make_cell(tmp_path, ("one", "tpn", "lime"), ["a"], pictures=True)
    (cell.path / "config.yaml").write_text(config)
    study_panels = panels.Panels(read_study(tmp_path, "default"))
    _, overlay = images_of(study_panels.draw("one", "tpn", "a"))
    with np.load(cell.folder("a") / "explanation.npz") as stored:
        drawn = Heatmap()(stored["frames"], stored["heatmap"])
    assert any((overlay == frame).all() for frame in drawn)
    (note,) = study_panels.notes()
    assert note.startswith(f"one / tpn / lime is drawn in lavx's usual heatmap colors in the panels: {reason}")


def test_results_of_lavx_0_1_which_hold_no_frames_are_left_out_of_the_panels_with_a_word(tmp_path, capsys):
    make_cell(tmp_path, ("one", "tpn", "lime"), ["a", "b"], pictures=True)
    for method in ("rise", "loco", "occlusion", "univariate", "random"):
        cell = make_cell(tmp_path, ("one", "tpn", method), ["a", "b"], pictures=True)
        for video in ("a", "b"):
            file = cell.folder(video) / "explanation.npz"
            if method == "rise":
                np.savez(file, heatmap=np.zeros((4, 32, 32), dtype=np.float32))
            elif method == "loco":
                file.write_bytes(b"PK torn")
            elif method == "occlusion":
                file.unlink()
            elif method == "univariate":
                np.savez(file, frames=np.zeros((4, 32, 32, 3), dtype=np.uint8))
            else:
                np.savez(file, frames=np.zeros((4, 32, 32, 3), dtype=np.uint8), heatmap=np.zeros((4, 8, 8)))
    made = write_report(tmp_path, "default", ["tpn"], ["lime"])
    todo = "To have it drawn, delete these videos' folders and run the cell again."
    where = "is left out of the panels of 2 videos (a, b): "
    assert made.notes == [
        f"one / tpn / rise {where}its explanation.npz holds no frames, which lavx 0.1 did not store. {todo}",
        f"one / tpn / loco {where}its explanation.npz is damaged. {todo}",
        f"one / tpn / univariate {where}its explanation.npz holds no heatmap. {todo}",
        f"one / tpn / occlusion {where}there is no explanation.npz. {todo}",
        f"one / tpn / random {where}its explanation.npz cannot be drawn (the heatmap must have the frames' shape "
        f"(T, H, W) = (4, 32, 32), got (4, 8, 8)). {todo}",
    ]
    page = html.unescape((made.folder / "index.html").read_text())
    assert all(note in page for note in made.notes) and "5 notes on what is not drawn" in page
    assert (made.folder / "figures" / "panel_one_tpn_a.png").exists()
    shutil.rmtree(tmp_path / "default" / "one" / "tpn" / "lime")
    assert report(OmegaConf.create(SETTINGS | {"outputs": str(tmp_path)})) == 0
    one = made.notes[0].replace("2 videos (a, b)", "1 video (a)")
    assert f"Not drawn:\n  {one}\n" in capsys.readouterr().out


def verdicts(outputs):
    return {item.claim.text: item.verdict for item in check_claims(read_study(outputs, "default"))}


def test_the_claims_are_checked_on_what_lies_in_the_folder(grid, tmp_path):
    found = verdicts(grid)
    lead = found["LIME, Kernel SHAP and RISE lead in deletion AUC"]
    assert lead.status == HOLDS and lead.why.endswith("(n = 12)") and "of 9 comparisons" in lead.evidence
    assert found["RISE takes more than twice as long as every other method, in all"].status == FAILS
    for k, method in enumerate(METHODS):
        make_cell(tmp_path, ("one", "tpn", method), [f"v{v}" for v in range(12)], quality=0.1 + 0.15 * k)
    assert verdicts(tmp_path)["Univariate is last in deletion AUC, on each network and dataset"].status == FAILS


def test_methods_that_no_other_beats_are_bold(tmp_path):
    for method, quality in (("lime", 0.9), ("rise", 0.9), ("loco", 0.4)):
        make_cell(tmp_path, ("one", "tpn", method), [f"v{v}" for v in range(12)], quality=quality)
    study = read_study(tmp_path, "default")
    assert tables.unbeaten(study.table, "deletion_auc", False) == {"lime", "rise"}
    (auc, *_), _ = tables.all_tables(study)
    assert {(auc.rows[i][1], auc.columns[j]) for i, j in auc.bold} == {
        (name, f"{metric} is better)") for name in ("LIME", "RISE")
        for metric in ("Deletion AUC (lower", "Insertion AUC (higher")}  # fmt: skip
    # Those of cells that are not complete are compared on the videos that all have.
    easy = study.table[
        (study.table.method != "lime") | (study.table.deletion_auc > study.table.deletion_auc.median())
    ]
    assert tables.unbeaten(easy[easy.method != "lime"], "deletion_auc", False) == {"rise"}


def test_a_mask_that_one_network_never_reaches_ranks_last_there(tmp_path):
    make_grid(tmp_path, datasets=("one",), methods=("lime", "rise", "loco"))
    study = read_study(tmp_path, "default")
    lime = (study.table.method == "lime") & (study.table.net == "tpn")
    study.table.loc[lime, "mask_insertion_0.5"] = math.nan
    (found,) = [r for r in tables.rankings(study) if r.metric.key == "mask_insertion_0.5" and r.scope[1] == "all"]
    assert found.comparison.average.idxmin() == "rise"  # lime is first on one network and last on the other
    masks = tables.minimal_masks(study, "insertion").frame.query("net == 'all' and threshold == 0.5")
    own = masks.set_index("method").loc["lime"]
    assert (own.n, own.n_reached, own.share_reached) == (6, 6, 0.5)


WIDTH = "document.documentElement.scrollWidth"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_works_in_a_browser(made, width):
    with opened(made.folder / "index.html", width) as (page, requests, complaints):
        assert page.evaluate(WIDTH) == width
        assert page.locator(".card").count() == 24
        page.select_option("#filter-method", "lime")
        page.select_option("#filter-dataset", "one")
        assert page.inner_text("#shown") == "1 to 12 of 12 explanations"
        page.locator("video").first.scroll_into_view_if_needed()
        wait(page, "document.querySelector('video').readyState >= 2")
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        page.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
        wait(page, "[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        page.evaluate(
            "document.querySelectorAll('summary, figcaption').forEach(e => e.append('_long'.repeat(24)))"
        )
        assert page.evaluate(WIDTH) == width
        assert requests and all(url.startswith(("file:", "data:")) for url in requests)
        assert not complaints


def test_a_page_with_odd_names_works_in_a_browser(odd_page):
    with opened(odd_page, 1280) as (page, _, complaints):
        assert page.locator(".card").count() == 2 and not complaints
        page.select_option("#filter-video", ODD)
        assert page.inner_text("#shown") == "1 to 1 of 1 explanations" and ODD in page.inner_text(".card")
        assert ODD in page.locator("details li", has_text="lime / b").text_content()


def test_the_browser_tests_see_what_goes_wrong(tmp_path):
    file = tmp_path / "bad.html"
    policy = '<meta http-equiv="Content-Security-Policy" content="img-src data:">'
    file.write_text(f"{policy}<img src='http://127.0.0.1:9/x.png'><script>nonesuch()</script>")
    with opened(file, 400) as (_, _, complaints):
        said = " ".join(complaints)
        assert "nonesuch is not defined" in said and "Content Security Policy" in said


@pytest.mark.parametrize("ci, outcome", [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_browser_tests_without_chromium_are_skipped_but_fail_in_ci(monkeypatch, tmp_path, ci, outcome):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(outcome, match="browser tests need Chromium"), opened(tmp_path / "x.html", 400):
        pass


def make_variations(outputs, videos=VIDEOS, **cells):
    """The six methods on one network, but with `cells` in the place of some of them: names and qualities."""
    for method in METHODS:
        for name, quality in cells.get(method, {method: None}).items():
            make_cell(outputs, ("one", "tpn", name), videos, quality=quality)


def test_claims_are_checked_on_a_variation_only_where_the_method_itself_is_not_there(tmp_path):
    low = {name: {name: 0.3} for name in ("kernel_shap", "rise")}
    best, many = "LIME is best in deletion AUC (up to 31 % lower)", [f"v{k}" for k in range(12)]
    make_variations(tmp_path, many, lime={"lime-sampling.n_samples=300": 0.95}, **low)
    found = verdicts(tmp_path)[best]
    assert found.status == HOLDS
    assert found.why.endswith("(n = 12); LIME is its variation LIME, n_samples=300")
    make_cell(tmp_path, ("one", "tpn", "lime-lime5"), many[:11], quality=0.1)  # fewer results: not taken
    assert verdicts(tmp_path)[best] == found
    make_cell(tmp_path, ("one", "tpn", "lime"), many, quality=0.2)
    plain = verdicts(tmp_path)[best]
    assert plain.status == FAILS and "variation" not in plain.why
    shutil.rmtree(tmp_path / "default")
    make_variations(tmp_path, many, lime={"lime": 0.2}, **low)
    assert verdicts(tmp_path)[best] == plain


def test_variations_are_compared_beside_each_other(tmp_path):
    names = ["lime", "lime-lime300", "lime-removal=blur-sampling.n_samples=3000"]
    make_variations(tmp_path, lime=dict(zip(names, (0.9, 0.5, 0.7), strict=True)))
    cell = tmp_path / "default" / "one" / "tpn" / "lime-lime300"
    Variation("lime", "lime300", ("sampling.n_samples=300",)).write(cell)
    made = write_report(tmp_path, "default", panels=0)
    assert made.study.methods[:4] == [*names, "kernel_shap"]
    text = (made.folder / "tables" / "auc.md").read_text()
    shown = ("LIME", "lime300", "LIME, removal=blur, n\\_samples=3000", "Kernel SHAP")
    found = [text.index(f"| {words} |") for words in shown if words != "LIME"]
    assert found == sorted(found)
    (ranked,) = [r for r in tables.rankings(made.study) if r.metric.key == "deletion_auc"]
    assert set(names) <= set(ranked.comparison.average.index)
    counts = table(made, "coverage").set_index("method")
    assert counts.changes["lime-lime300"] == "sampling.n_samples=300" and counts.missing.sum() == 0
    page = html.unescape((made.folder / "index.html").read_text())
    assert "in 2 variations, no controls" in page


def extents(figure):
    """The boxes of all words of a figure that are not empty, in pixels, by axes and kind."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axes in figure.axes:
        named = {"below": axes.get_xticklabels(), "beside": axes.get_yticklabels(), "inside": axes.texts}
        for kind, words in named.items():  # numbers of axes are matplotlib's affair
            yield [word for word in words if re.search("[a-z]", word.get_text())], kind


def test_long_names_neither_overlap_nor_leave_the_figure(tmp_path):
    labels = {"lime": None} | {f"lime-a label of 40 letters and more, number {k}": None for k in range(3)}
    changes = "segmentation=windows-sampling.n_samples={}000-removal=blur-behavior=logit"
    long = {f"rise-{changes.format(k)}": None for k in (1, 2)}
    make_variations(tmp_path, lime=labels, rise={"rise": None} | long)
    study = read_study(tmp_path, "default")
    ranks = [r for r in tables.rankings(study) if r.metric.key == "deletion_auc"]
    drawn = {
        "bars": figures.draw_bars(study, "one", study.metrics[:2]),
        "timings": figures.draw_timings(study, "one"),
        "ranks": figures.draw_ranks(ranks),
        "masks": figures.draw_minimal_masks(study, "one", "deletion"),
    }
    for name, figure in drawn.items():
        width, height = figure.canvas.get_width_height()
        for words, kind in extents(figure):
            boxes = [word.get_window_extent() for word in words]
            for box in boxes:
                assert box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1, name
            if kind != "below":  # slanted ones have boxes that overlap, and lie apart
                assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[k + 1 :]), (name, kind)
            else:
                assert all("\n" not in word.get_text() and len(word.get_text()) <= 30 for word in words)
        for legend in figure.legends:
            box = legend.get_window_extent()
            assert box.x0 >= -1 and box.x1 <= width + 1, name


def test_what_is_expected_is_what_the_sweeps_planned(tmp_path):
    make_cell(tmp_path, ("one", "tpn", "lime"), VIDEOS[:2])
    assert read_study(tmp_path, "default").missing == []
    root = tmp_path / "default"
    sweep.Sweep(
        [(root, ("one", net, "lime")) for net in ("tpn", "tanet")] + [(root, ("one", "tpn", "loco-x"))], [6] * 3
    )
    study = read_study(tmp_path, "default")
    assert study.missing == ["one / tanet: every method", "one / tpn / loco-x: the whole cell"]
    record = status.Record(root / "one" / "tpn" / "lime", VIDEOS)
    with record.working():
        pass
    study = read_study(tmp_path, "default")
    assert study.missing[1] == "one / tpn / lime: 4 of 6 videos (v2, v3, v4, ...)"
    counts = study.coverage.set_index(["net", "method"])
    assert counts.loc[("tpn", "lime"), ["done", "missing"]].tolist() == [2, 4]
    assert counts.loc[("tanet", "lime"), ["done", "missing"]].tolist() == [0, 6]
    further = read_study(tmp_path, "default", ["timesformer"], ["rise"]).missing
    assert "one / timesformer: every method" in further and "one / tpn / rise: the whole cell" in further


def test_cells_that_are_not_to_be_compared_are_named(tmp_path, capsys):
    for net, n_samples, n_steps in (("tanet", 5, 100), ("tpn", 7, 100), ("timesformer", 5, 50)):
        cell = make_cell(tmp_path, ("one", net, "lime"), VIDEOS[:2])
        content = {"method": {"sampling": {"n_samples": n_samples}}, "metric": {"n_steps": n_steps}, "target": 1}
        (cell.path / "config.yaml").write_text(yaml.safe_dump(content))
    assert report(OmegaConf.create(SETTINGS | {"outputs": str(tmp_path)})) == 0
    lines = [
        "one / timesformer / lime differs from one / tanet / lime in metric.n_steps: 100 -> 50",
        "one / tpn / lime differs from one / tanet / lime in method.sampling.n_samples: 5 -> 7",
    ]
    assert "Not to be compared:\n  " + "\n  ".join(lines) in capsys.readouterr().out
    page = html.unescape((tmp_path / "default" / "report" / "index.html").read_text())
    assert "2 differences that keep cells from being compared" in page and all(line in page for line in lines)
