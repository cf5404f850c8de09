"""The real page in a real browser, used by raters whose preferences are known."""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
import uvicorn
from browser import opened, wait
from rating import PREFERENCES, Panelist, app_of, begin, make_explanations, methods_shown

from lavx.rating import analysis, serving
from lavx.rating.ratings import export
from lavx.report.study import read_study

READY = (
    "!document.getElementById('trial').hidden && "
    "!document.querySelector('#choices button, #choices input').disabled"
)


@contextmanager
def server(run: Any, **protocol: Any) -> Iterator[tuple[Any, Any, str]]:
    """A study on a port of its own: study, store and address."""
    study, store = begin(run, **protocol)
    listener = serving.listening("127.0.0.1", 0)
    port = listener.getsockname()[1]
    config = uvicorn.Config(app_of(study, store), lifespan="off", log_level="error", http="h11", ws="none")
    serving_it = uvicorn.Server(config)
    thread = threading.Thread(target=serving_it.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield study, store, f"http://127.0.0.1:{port}"
    finally:
        serving_it.should_exit = True
        thread.join(10)
        listener.close()
        store.close()


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    return make_explanations(tmp_path_factory.mktemp("page"), n_videos=3)


@pytest.fixture
def run(explained, tmp_path):
    return shutil.copytree(explained, tmp_path / "run")


def current(study: Any, name: str) -> str:
    with sqlite3.connect(study.file) as db:
        row = db.execute(
            "SELECT t.token FROM trials t JOIN raters r ON r.id = t.rater WHERE r.name = ? AND NOT EXISTS "
            "(SELECT 1 FROM answers a WHERE a.trial = t.id AND a.undone IS NULL) ORDER BY t.position LIMIT 1",
            (name,),
        ).fetchone()  # fmt: skip
    db.close()
    return "" if row is None else row[0]


def count(page: Any) -> str:
    return page.inner_text("#count")


def answer(page: Any, key: str) -> None:
    """Press a key, and wait until the next question can be answered, or there is none."""
    wait(page, READY)
    before = count(page)
    page.keyboard.press(key)
    wait(
        page,
        f"document.getElementById('count').textContent !== '{before}' && {READY} || "
        "!document.getElementById('done').hidden",
    )


def test_a_panel_rates_by_keyboard_and_its_preferences_are_recovered(tmp_path):
    """Three experts, and one who clicks at random, on the page; then the table, and what the report makes of
    it."""
    run = make_explanations(tmp_path, n_videos=4)
    panel = {f"expert {k}": Panelist(PREFERENCES, noise=0.5, seed=k) for k in range(3)}
    panel["clicker"] = Panelist(PREFERENCES, at_random=True, seed=4)
    with server(run, attention=2, repeats=2, practice=1) as (study, store, address):
        for name, panelist in panel.items():
            link = store.enroll(name).result().link
            with opened(f"{address}/r/{link}", 1280 if name == "expert 0" else 390, 844) as (
                page,
                asked,
                complaints,
            ):
                wait(page, "!document.getElementById('welcome').hidden")
                page.keyboard.press("Tab")
                page.keyboard.press("Enter")
                while question := current(study, name):
                    method, _, _ = methods_shown(study.file, question)
                    answer(page, str(3 + panelist.likert(method)))
                wait(page, "!document.getElementById('done').hidden")
                assert not complaints
                assert all(url.startswith((address, "blob:")) for url in asked)
        export(study.file, run / "ratings.csv", run / "ratings.sqlite")
    # Not by the rule `fast`: they do not look.
    users = read_study(run.parent, run.name, exclude=["attention", "constant", "unrelated"]).users
    assert users.kept == ["expert 0", "expert 1", "expert 2"]
    means = analysis.method_means(users.ratings, users.kept).set_index("method")["mean"]
    assert means.idxmax() == "rise" and means.idxmin() == "univariate"
    assert means["rise"] == pytest.approx(1.5, abs=0.4) and means["univariate"] == pytest.approx(-0.7, abs=0.45)
    rated = users.ratings.of_kind("rating")
    assert (rated.groupby("rater").size() == 24).all() and (rated.reaction_ms > 0).all()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_is_undone_paused_and_come_back_to(run, width):
    with server(run, practice=1) as (study, store, address):
        with opened(f"{address}/", width, 844) as (page, _, complaints):
            page.click("#begin")
            page.wait_for_url("**/r/*")
            wait(page, "!document.getElementById('welcome').hidden")
            page.click("#begin")
            wait(page, READY)
            link = page.url
            assert count(page) == "Practice 1 of 1"
            # All that is needed is in view, and nothing sticks out.
            assert page.evaluate("document.documentElement.scrollWidth") == width
            bottom = page.evaluate("document.getElementById('pause').getBoundingClientRect().bottom")
            assert bottom <= 844
            sizes = page.evaluate(
                "[...document.querySelectorAll('#choices button')].map(b => b.getBoundingClientRect()).map(r => "
                "[r.width, r.height])"
            )
            assert len(sizes) == 5 and min(min(size) for size in sizes) >= 44  # to be hit with a finger
            page.click("#choices button:nth-child(4)")
            wait(page, f"document.getElementById('count').textContent === 'Question 1 of 18' && {READY}")
            answer(page, "5")
            page.keyboard.press("p")
            wait(page, "document.querySelector('video').paused")
            page.keyboard.press("p")
            wait(page, "!document.querySelector('video').paused")
            page.keyboard.press("u")
            wait(page, f"document.getElementById('count').textContent === 'Question 1 of 18' && {READY}")
            assert "taken back" in page.inner_text("#status")
            answer(page, "1")
            assert not complaints
        with opened(link, width, 844) as (page, _, complaints):  # another browser, the same link
            wait(page, READY)
            assert count(page) == "Question 2 of 18" and not complaints
        with sqlite3.connect(study.file) as db:
            given = db.execute("SELECT value, undone IS NULL FROM answers ORDER BY id").fetchall()
        db.close()
        assert given == [(1, 1), (2, 0), (-2, 1)]


def test_clip_and_explanation_loop_in_step(run):
    """They are one picture; and those of a pair begin their loops together."""
    with server(run, design="pairs") as (_, store, address):
        link = store.enroll().result().link
        store.agree(link).result()
        with opened(f"{address}/r/{link}", 1280) as (page, _, complaints):
            wait(page, READY)
            bottom = page.evaluate("document.getElementById('choices').getBoundingClientRect().bottom")
            assert bottom <= 800  # in view on a usual screen
            wait(page, "document.querySelector('video').currentTime > 1.5")
            wait(page, "document.querySelector('video').currentTime < 1")  # the second round
            page.wait_for_timeout(300)
            times = page.evaluate("[...document.querySelectorAll('video')].map(v => v.currentTime)")
            assert len(times) == 2 and abs(times[0] - times[1]) < 0.1
            assert page.evaluate("[...document.querySelectorAll('video')].every(v => v.loop && v.muted)")
            before = count(page)
            page.keyboard.press("2")
            wait(page, f"document.getElementById('count').textContent !== '{before}' && {READY}")
            assert not complaints


def test_a_slider_has_to_be_moved_and_remarks_are_kept(run):
    with server(run, design="slider", remarks=True, consent="Do you agree?") as (study, store, address):
        rater = store.enroll().result()
        with opened(f"{address}/r/{rater.link}", 390, 844) as (page, _, complaints):
            wait(page, "!document.getElementById('welcome').hidden")
            assert page.is_disabled("#begin") and "Do you agree?" in page.inner_text("#consent")
            page.check("#agreed")
            page.click("#begin")
            wait(page, READY)
            assert page.is_disabled("#next")
            page.focus("#choices input")
            for _ in range(3):
                page.keyboard.press("ArrowRight")
            page.fill("#remark", "2 <b>bold</b> \u00fc")
            page.focus("#choices input")
            page.keyboard.press("Enter")
            wait(page, f"document.getElementById('count').textContent === 'Question 2 of 18' && {READY}")
            assert page.is_disabled("#next") and page.input_value("#remark") == ""
            assert not complaints
        with sqlite3.connect(study.file) as db:
            assert db.execute("SELECT value, remark FROM answers").fetchall() == [(53, "2 <b>bold</b> \u00fc")]
        db.close()


def test_what_a_screen_reader_says_is_there(run):
    with server(run) as (_, store, address):
        link = store.enroll().result().link
        store.agree(link).result()
        with opened(f"{address}/r/{link}", 1280) as (page, _, _complaints):
            wait(page, READY)
            nameless = page.evaluate(
                "[...document.querySelectorAll('button, input, textarea, video, progress, [role=img]')]"
                ".filter(e => e.checkVisibility()).filter(e => !(e.innerText || e.getAttribute('aria-label') || "
                "e.getAttribute('aria-labelledby') || (e.labels || []).length)).map(e => e.id)"
            )
            assert nameless == []
            group = page.locator("#choices")
            assert group.get_attribute("aria-labelledby") == "question"
            assert "strongly disagree" in page.inner_text("#choices button:nth-child(1)")
            assert page.locator("#status").get_attribute("aria-live") == "polite"
            assert page.evaluate("document.activeElement.id") == "class"  # what is read when a question comes
            assert page.evaluate("document.documentElement.lang") == "en"


def test_answers_wait_for_a_server_that_is_away(run):
    """Nothing is lost when the server is killed between two answers, and the page goes on by itself."""
    with server(run) as (study, store, address):
        link = store.enroll().result().link
        store.agree(link).result()
        with opened(f"{address}/r/{link}", 390, 844) as (page, _, _complaints):
            wait(page, READY)
            page.context.set_offline(True)
            page.keyboard.press("5")
            wait(page, "document.getElementById('status').textContent.includes('nothing is lost')")
            page.context.set_offline(False)
            wait(page, f"document.getElementById('count').textContent === 'Question 2 of 18' && {READY}")
        with sqlite3.connect(study.file) as db:
            assert db.execute("SELECT value FROM answers").fetchall() == [(2,)]
        db.close()


def test_an_answer_in_another_window_is_told(run):
    with server(run) as (_, store, address):
        link = store.enroll().result().link
        state = store.agree(link).result()
        with opened(f"{address}/r/{link}", 390, 844) as (page, _, _complaints):
            wait(page, READY)
            store.answer(link, state.token, 0, 1, None, "").result()
            page.keyboard.press("5")
            wait(page, "document.getElementById('status').textContent.includes('another window')")
            wait(page, READY)
            assert count(page) == "Question 2 of 18"


def test_hostile_class_names_are_text_on_the_page(tmp_path):
    odd = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    run = make_explanations(tmp_path, methods=("rise",), n_videos=1, classes=(odd, "b"))
    with server(run) as (_, store, address):
        link = store.enroll().result().link
        store.agree(link).result()
        with opened(f"{address}/r/{link}", 390, 844) as (page, _, complaints):
            wait(page, READY)
            assert page.inner_text("#class strong") == odd and page.locator("#class img").count() == 0
            assert page.evaluate("document.documentElement.scrollWidth") == 390 and not complaints


def test_leaving_deletes_all(run):
    with server(run) as (study, store, address):
        link = store.enroll().result().link
        store.agree(link).result()
        with opened(f"{address}/r/{link}", 1280) as (page, _, complaints):
            answer(page, "5")
            page.on("dialog", lambda dialog: dialog.accept())
            page.click("summary")
            page.click("#withdraw")
            wait(page, "!document.getElementById('withdrawn').hidden")
            assert not complaints
        with sqlite3.connect(study.file) as db:
            assert db.execute("SELECT COUNT(*) FROM answers").fetchone()[0] == 0
        db.close()


# --- Many at once ---


class Rater:
    """A rater's browser as far as the server sees it; answers as fast as one can who looks at nothing."""

    def __init__(self, address: str, seed: int) -> None:
        self.client = httpx2.Client(base_url=address, timeout=30)
        self.seed = seed
        self.seconds: list[float] = []
        self.acknowledged: set[tuple[str, int]] = set()

    def post(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        answered = self.client.post(path, json=content)
        assert answered.status_code == 200, answered.text
        return answered.json()

    def rate(self, pause: float) -> None:
        link = self.post("/start", {})["link"]
        state = self.post(f"{link}/agree", {})
        while state["stage"] == "trial":
            self.client.get(f"{link}/media/{state['token']}/0").raise_for_status()
            time.sleep(pause)
            value = (self.seed + state["done"]) % 5 - 2
            content = {"token": state["token"], "attempt": 0, "value": value, "reaction_ms": 1000}
            start = time.perf_counter()
            state = self.post(f"{link}/answer", content)
            self.seconds.append(time.perf_counter() - start)
            self.acknowledged.add((content["token"], value))
        self.client.close()


@pytest.mark.slow
def test_fifty_raters_at_once_are_answered_fast_and_lose_nothing(run):
    with server(run, repeats=6) as (study, _, address):
        raters = [Rater(address, seed) for seed in range(50)]
        with ThreadPoolExecutor(50) as pool:
            list(pool.map(lambda rater: rater.rate(pause=1.0), raters))
        with sqlite3.connect(study.file) as db:
            kept = set(db.execute("SELECT token, value FROM answers a JOIN trials t ON t.id = a.trial"))
        db.close()
    acknowledged = set().union(*(rater.acknowledged for rater in raters))
    assert len(acknowledged) == 50 * 24 and acknowledged == kept
    seconds = [each for rater in raters for each in rater.seconds]
    print(f"median {1000 * statistics.median(seconds):.1f} ms, longest {1000 * max(seconds):.0f} ms")
    assert statistics.median(seconds) < 0.05
