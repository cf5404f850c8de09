from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import pytest
from rating import METHODS, PREFERENCES, Panelist, begin, make_explanations, rate_all

from lavx.errors import RequestError
from lavx.rating.items import ATTENTION, RATED, Item, find_items
from lavx.rating.protocol import Protocol
from lavx.rating.schedule import CHECK, PRACTICE, RATING, REPEAT, Scheduler
from lavx.rating.store import Refused, connect, read_content


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """A run of two methods on two videos, whose files are copied rather than made again."""
    return make_explanations(tmp_path_factory.mktemp("explained"), methods=("rise", "lime"), n_videos=2)


@pytest.fixture
def run(explained, tmp_path):
    subprocess.run(["cp", "-r", explained, tmp_path / "run"], check=True)
    return tmp_path / "run"


@pytest.fixture
def store(run):
    made = begin(run)[1]
    yield made
    made.close()


def start(store):
    rater = store.enroll().result()
    return rater.link, store.agree(rater.link).result()


def answer(store, link, state, value=1, **more):
    given = {"reaction_ms": 900, "remark": ""} | more
    return store.answer(link, state.token, state.attempt, value, *given.values()).result()


# --- Answers ---


def test_an_answer_is_in_the_file_when_it_is_acknowledged(store, run):
    link, state = start(store)
    answer(store, link, state, value=-2)
    with sqlite3.connect(run / "rating" / "ratings.sqlite") as other:
        assert other.execute("SELECT value, reaction_ms FROM answers").fetchall() == [(-2, 900)]
    other.close()


def test_the_file_outlives_a_power_loss(tmp_path):
    connection = connect(tmp_path / "x.sqlite")
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    connection.close()


def test_the_same_answer_again_changes_nothing_and_another_one_is_refused(store):
    link, state = start(store)
    then = answer(store, link, state)
    assert answer(store, link, state) == then and then.done == 1
    with pytest.raises(Refused, match="answered already") as refused:
        answer(store, link, state, value=2)
    assert refused.value.status == 409


def test_an_answer_is_taken_back_and_given_again(store):
    link, first = start(store)
    second = answer(store, link, first)
    undone = store.undo(link, second.last, second.last_attempt).result()
    assert (undone.token, undone.attempt, undone.done, undone.last) == (first.token, 1, 0, "")
    assert store.undo(link, second.last, second.last_attempt).result() == undone  # sent again
    with pytest.raises(Refused, match="was taken back"):
        answer(store, link, first)  # the old answer, sent again
    assert answer(store, link, undone, value=2).done == 1
    with pytest.raises(Refused, match="Only the last answer"):
        store.undo(link, second.token, 0).result()


def test_undo_goes_back_from_the_end_to_the_beginning(store):
    link, state = start(store)
    while state.stage == "trial":
        state = answer(store, link, state)
    assert (state.stage, state.done, state.total) == ("done", 4, 4)
    for left in (3, 2, 1, 0):
        state = store.undo(link, state.last, state.last_attempt).result()
        assert (state.stage, state.done) == ("trial", left)
    assert state.last == ""


def test_questions_are_answered_in_their_order(store, run):
    link, state = start(store)
    with sqlite3.connect(run / "rating" / "ratings.sqlite") as other:
        later = other.execute("SELECT token FROM trials WHERE position = 3").fetchone()[0]
    other.close()
    with pytest.raises(Refused, match="in their order"):
        store.answer(link, later, 0, 1, None, "").result()


@pytest.mark.parametrize("value", [3, -3, 0.5, "1", None, True, [1], 2**70])
def test_an_answer_that_is_not_offered_is_refused(store, value):
    link, state = start(store)
    with pytest.raises(Refused, match="whole number from -2 to 2") as refused:
        answer(store, link, state, value=value)
    assert refused.value.status == 400 and store.state(link).result() == state


@pytest.mark.parametrize("more, message", [
    ({"reaction_ms": -1}, "milliseconds"), ({"reaction_ms": True}, "milliseconds"),
    ({"reaction_ms": 10**9}, "milliseconds"), ({"remark": "x"}, "takes no remarks"),
])  # fmt: skip
def test_times_and_remarks_are_checked(store, more, message):
    link, state = start(store)
    with pytest.raises(Refused, match=message):
        answer(store, link, state, **more)


@pytest.mark.parametrize("remark", ["x" * 2001, 5, "\ud800", "a\x00b"])
def test_a_remark_is_a_text_that_can_be_stored(run, remark):
    store = begin(run, remarks=True)[1]
    link, state = start(store)
    with pytest.raises(Refused, match="at most 2000 characters"):
        answer(store, link, state, remark=remark)
    assert answer(store, link, state, remark="it's '); DROP TABLE answers;-- <b>").done == 1
    store.close()


@pytest.mark.parametrize("link", ["", "x", "' OR 1=1 --", "a" * 22, "\ud800" * 22])
def test_a_forged_link_is_no_raters(store, link):
    start(store)
    with pytest.raises(Refused, match="no such page") as refused:
        store.state(link).result()
    assert refused.value.status == 404


def test_nobody_answers_anothers_question(store):
    (mine, _), (_, theirs) = start(store), start(store)
    for ask in (lambda: answer(store, mine, theirs), lambda: store.item(mine, theirs.token, 0).result()):
        with pytest.raises(Refused, match="no such question"):
            ask()


def test_nothing_is_answered_before_the_instructions_are_read(store, run):
    rater = store.enroll().result()
    assert store.state(rater.link).result().stage == "welcome"
    with sqlite3.connect(run / "rating" / "ratings.sqlite") as other:
        token = other.execute("SELECT token FROM trials WHERE position = 0").fetchone()[0]
    other.close()
    with pytest.raises(Refused, match="no question to answer now"):
        store.answer(rater.link, token, 0, 1, None, "").result()


def test_who_withdraws_leaves_nothing_behind(run):
    study, store = begin(run, remarks=True)
    link, state = start(store)
    answer(store, link, state, remark="a remark that nobody else would make")
    folder = study.folder
    assert any(b"nobody else" in file.read_bytes() for file in folder.glob("ratings.sqlite*"))
    assert store.withdraw(link).result().stage == "withdrawn"
    assert not any(b"nobody else" in file.read_bytes() for file in folder.glob("ratings.sqlite*"))
    assert store.agree(link).result().stage == "withdrawn"
    with pytest.raises(Refused, match="no question"):
        answer(store, link, state)
    store.close()


# --- Faults ---


def test_a_full_disk_is_told_and_nothing_acknowledged_is_lost(run):
    study, store = begin(run)
    link, state = start(store)
    state = answer(store, link, state)
    _limit(store, 1)  # to what it has
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for _ in range(200):
            store.enroll().result()
    _limit(store, 2**30)
    assert store.state(link).result() == state
    assert answer(store, link, state).done == 2  # there is room again
    store.close()


def _limit(store, pages):
    """Let the file have so many pages: what SQLite answers beyond is what it answers to a full disk."""
    store._submit(lambda: store._db.execute(f"PRAGMA max_page_count = {pages}").fetchall()).result()


def test_one_bad_request_of_a_batch_does_not_spoil_the_others(store):
    states = [start(store) for _ in range(8)]
    futures = [
        store.answer(link, state.token, state.attempt, 9 if k % 2 else 1, None, "")
        for k, (link, state) in enumerate(states)
    ]
    for k, future in enumerate(futures):
        if k % 2:
            assert isinstance(future.exception(), Refused)
        else:
            assert future.result().done == 1


def test_a_rater_who_leaves_before_the_answer_stops_nobody(store):
    link, state = start(store)
    future = store.answer(link, state.token, 0, 1, None, "")
    future.cancel()
    assert store.state(link).result().stage == "trial"


WRITER = """
import sys
sys.path[:0] = [{tests!r}]
from rating import begin
from pathlib import Path
store = begin(Path({run!r}), repeats=0)[1]
rater = store.enroll("killed").result()
state = store.agree(rater.link).result()
while True:
    if state.stage == "done":
        state = store.undo(rater.link, state.last, state.last_attempt).result()
    value = (state.done + state.attempt) % 5 - 2
    token, attempt = state.token, state.attempt
    state = store.answer(rater.link, token, attempt, value, None, "").result()
    print(token, attempt, value, flush=True)  # it was acknowledged
"""


def test_what_was_acknowledged_outlives_kill_9(run):
    begin(run)[1].close()
    for _ in range(3):
        code = WRITER.format(tests=str(Path(__file__).parent), run=str(run))
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20)]
        time.sleep(0.05)
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
        process.wait()
        process.stdout.close()
        acknowledged = {tuple(line.split()) for line in lines if line.endswith("\n")}
        db = connect(run / "rating" / "ratings.sqlite")
        kept = db.execute("SELECT token, attempt, value FROM answers a JOIN trials t ON t.id = a.trial").fetchall()
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        db.close()
        assert len(acknowledged) >= 20 and acknowledged <= {tuple(map(str, row)) for row in kept}


def test_many_raters_at_once_lose_nothing(run):
    study, store = begin(run)

    def rate(seed):
        rater = store.enroll().result()
        rate_all(study, store, rater, Panelist(PREFERENCES, seed=seed))
        return rater.link

    with ThreadPoolExecutor(16) as pool:
        links = list(pool.map(rate, range(16)))
    assert len(set(links)) == 16
    assert all(store.state(link).result().stage == "done" for link in links)
    with sqlite3.connect(study.file) as db:
        assert db.execute("SELECT COUNT(*) FROM answers").fetchone()[0] == 16 * 4
    db.close()
    store.close()


# --- Studies ---


def test_a_study_goes_on_where_it_was(run):
    store = begin(run)[1]
    link, state = start(store)
    state = answer(store, link, state)
    store.close()
    again = begin(run)[1]
    assert again.state(link).result() == state
    again.close()


def test_another_protocol_is_refused_with_the_keys_that_differ(run):
    begin(run)[1].close()
    with pytest.raises(RequestError, match="begun with other settings: repeats was 0, is 1 now.*move the folder"):
        begin(run, repeats=1)


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\x00" + bytes(100)])
def test_a_damaged_file_is_refused(run, content):
    (run / "rating").mkdir()
    (run / "rating" / "ratings.sqlite").write_bytes(content)
    with pytest.raises(RequestError, match="no file of lavx rate, or a damaged one"):
        begin(run)


def test_a_file_of_a_later_lavx_is_refused(run):
    study, store = begin(run)
    store.close()
    with sqlite3.connect(study.file) as db:
        db.execute("UPDATE study SET value = '99' WHERE key = 'version'")
    db.close()
    with pytest.raises(RequestError, match="written by a later lavx"):
        read_content(study.file)


def test_a_study_that_was_killed_while_it_began_begins_again(run):
    (run / "rating").mkdir()
    connect(run / "rating" / "ratings.sqlite").close()
    begin(run)[1].close()


def test_only_videos_of_every_method_are_rated_and_the_others_named(run):
    for place in (run / "one" / "tpn" / "lime" / "videos").glob("one-01"):
        subprocess.run(["rm", "-r", place], check=True)
    items, notes = find_items(run)
    assert {item.video_id for item in items} == {"one-00"} and len(items) == 2
    assert notes == ["one / tpn: 1 of the videos (one-01) are left out, which lime did not explain."]


def test_controls_are_not_rated_unless_asked_for(run, tmp_path):
    make_explanations(tmp_path, methods=("random",), name="run")
    assert {item.method for item in find_items(run)[0]} == {"lime", "rise"}
    assert {item.method for item in find_items(run, ["rise", "random"])[0]} == {"rise", "random"}
    with pytest.raises(RequestError, match="methods must be of those .*lime, random, rise, got gradcam"):
        find_items(run, ["gradcam"])


def test_what_cannot_be_shown_is_refused(tmp_path):
    with pytest.raises(RequestError, match="no explanations to rate. First run lavx run"):
        find_items(tmp_path)
    nameless = make_explanations(tmp_path, classes=(), methods=("rise",), n_videos=1)
    with pytest.raises(RequestError, match="does not say what its classes are called"):
        find_items(nameless)
    file = nameless / "one" / "tpn" / "rise" / "videos" / "one-00" / "explanation.npz"
    file.write_bytes(b"PK")
    with pytest.raises(RequestError, match="missing or damaged"):
        find_items(nameless)


# --- Schedules ---


def items_of(n_videos, nets=("a", "b"), methods=METHODS, datasets=("one",)):
    rows = [
        Item(RATED, dataset, net, method, f"v{k:02d}", "class", "")
        for dataset in datasets for net in nets for k in range(n_videos) for method in methods
    ]  # fmt: skip
    return dict(enumerate(rows, start=1))


def drawn(scheduler, n_raters):
    blocks, lists = [], []
    for rater in range(n_raters):
        lists.append(scheduler.trials(rater, blocks))
        items = {number: group for group, m in scheduler.groups.items() for number in m.values()}
        blocks.append({items[trial.item] for trial in lists[-1] if trial.kind == RATING})
    return blocks, lists


def test_every_rater_scores_the_same_set_in_an_order_of_their_own():
    scheduler = Scheduler(Protocol(), items_of(3))
    one, two = scheduler.trials(0, []), scheduler.trials(1, [])
    assert sorted(t.item for t in one) == sorted(t.item for t in two) == list(range(1, 37))
    assert one != two and one == scheduler.trials(0, [])
    assert one != Scheduler(Protocol(seed=1), items_of(3)).trials(0, [])


def test_orders_are_random_not_blocked_by_method_or_video():
    scheduler = Scheduler(Protocol(), items_of(10))
    positions = [[t.item for t in scheduler.trials(r, [])].index(1) for r in range(300)]
    assert abs(sum(positions) / 300 - 59.5) < 8  # the standard error is 2
    assert len(set(positions)) > 80


def test_incomplete_blocks_are_balanced():
    scheduler = Scheduler(Protocol(items_per_rater=36), items_of(6, nets=("a", "b"), datasets=("one", "two")))
    blocks, lists = drawn(scheduler, 20)
    assert all(len(block) == 6 and len(trials) == 36 for block, trials in zip(blocks, lists, strict=True))
    counts = [sum(group in block for block in blocks) for group in scheduler.groups]
    assert max(counts) - min(counts) <= 1
    together = [sum({a, b} <= block for block in blocks) for a, b in combinations(scheduler.groups, 2)]
    mean = sum(together) / len(together)
    assert mean == pytest.approx(20 * 15 / 276) and max(together) <= 4
    spread = []
    for block in blocks:  # of six in four strata of datasets and networks, which chance alone would spread by 2.4
        strata = [sum(group[:2] == s for group in block) for s in {g[:2] for g in scheduler.groups}]
        spread.append(max(strata) - min(strata))
    assert sum(spread) / len(spread) <= 1.8


def test_a_block_of_who_withdrew_is_given_again(run):
    study, store = begin(run, items_per_rater=2)
    first = store.enroll().result()

    def videos(rater):
        with sqlite3.connect(study.file) as db:
            query = "SELECT DISTINCT video_id FROM trials t JOIN items i ON i.id = t.item WHERE rater = ?"
            found = {row[0] for row in db.execute(query, (rater.id,))}
        db.close()
        return found

    seen = videos(first)
    store.agree(first.link).result()
    assert videos(store.enroll().result()) == {"one-00", "one-01"} - seen
    store.withdraw(first.link).result()
    assert videos(store.enroll().result()) == seen
    store.close()


def test_practice_checks_and_repeats_are_where_they_belong():
    items = items_of(5)
    extra = {100 + k: Item(ATTENTION, "one", "a", "random", f"v{k:02d}", "class", "") for k in range(4)}
    trials = Scheduler(Protocol(practice=3, attention=4, repeats=10), items | extra).trials(0, [])
    kinds = [t.kind for t in trials]
    assert kinds[:3] == [PRACTICE] * 3 and kinds.count(CHECK) == 4 and kinds.count(REPEAT) == 10
    first = {t.item: k for k, t in enumerate(trials) if t.kind == RATING}
    gaps = [k - first[t.item] for k, t in enumerate(trials) if t.kind == REPEAT]
    assert min(gaps) >= 20 and {t.item for t in trials if t.kind == CHECK} == set(extra)
    other = Scheduler(Protocol(practice=3, attention=4, repeats=10), items | extra).trials(1, [])
    assert trials[:3] == other[:3]  # all learn the scale from the same


def test_pairs_are_all_pairs_of_a_video_on_both_sides():
    scheduler = Scheduler(Protocol(design="pairs", repeats=5), items_of(4, nets=("a",)))
    trials = scheduler.trials(0, [])
    rated = [(t.item, t.other) for t in trials if t.kind == RATING]
    assert len({frozenset(pair) for pair in rated}) == len(rated) == 4 * 15
    assert 15 < sum(a < b for a, b in rated) < 45
    again = [(t.other, t.item) for t in trials if t.kind == REPEAT]
    assert set(again) <= set(rated)  # with the sides swapped


@pytest.mark.parametrize("settings, message", [
    ({"items_per_rater": 3}, "items_per_rater must be at least 6, a video with all 6 methods"),
    ({"repeats": 9}, "repeats must be at most a third of a rater's 24 items"),
    ({"practice": 25}, "practice must be at most the number of a rater's items, 24, got 25"),
])  # fmt: skip
def test_what_a_schedule_cannot_be_is_refused(settings, message):
    with pytest.raises(RequestError, match=message):
        Scheduler(Protocol(**settings), items_of(2))


def test_one_method_cannot_be_compared():
    with pytest.raises(RequestError, match="design=pairs compares methods, and there is only one"):
        Scheduler(Protocol(design="pairs"), items_of(2, methods=("rise",)))


def test_more_checks_than_videos_are_refused(run):
    with pytest.raises(RequestError, match="attention must be at most the number of videos on networks, 2, got 3"):
        begin(run, attention=3)


@pytest.mark.parametrize("settings, message", [
    ({"design": "stars"}, "design must be one of likert, slider, pairs"),
    ({"practice": -1}, "practice must be a whole number >= 0"),
    ({"side": 65}, "side must be even"), ({"side": 20}, "side must be a whole number >= 64"),
    ({"seconds": 0}, r"seconds must be in \[0.5, 60\]"), ({"remarks": 1}, "remarks must be true or false"),
])  # fmt: skip
def test_what_a_protocol_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**settings)


def test_a_protocol_is_the_same_when_it_is_read():
    protocol = Protocol(methods=("rise", "lime"), consent="yes?", visualization={"alpha": 0.5}, seconds=3)
    assert Protocol.from_json(protocol.to_json()) == protocol
    assert protocol.question == "Do the highlighted regions used in the classification seem reasonable?"
    assert os.linesep not in protocol.to_json()
