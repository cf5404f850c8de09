from __future__ import annotations

import json
import sqlite3
import statistics
import time

import av
import pytest
from rating import app_of, begin, make_explanations
from starlette.testclient import TestClient

from lavx.rating import serving
from lavx.rating.media import FPS, media_file
from lavx.rating.server import LONGEST_BODY

SECRETS = ("timesformer", "tanet", "dataset-one", "dataset-two", "occlusion", "method-b", "rise", "random")
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """Two datasets, networks of different clips and methods of different heatmaps."""
    return make_explanations(
        tmp_path_factory.mktemp("explained"), datasets=("dataset-one", "dataset-two"),
        nets={"timesformer": (4, 16, 16), "tanet": (8, 32, 24)}, methods=("rise", "occlusion"), n_videos=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def served(explained):
    study, store = begin(explained, attention=1)
    yield study, store
    store.close()


@pytest.fixture
def client(served):
    with TestClient(app_of(*served), raise_server_exceptions=False) as made:
        yield made


def post(client, path, content=None, **headers):
    return client.post(path, content=json.dumps(content or {}), headers=JSON | headers)


def begun(client):
    link = post(client, "/start").json()["link"]
    return link, post(client, f"{link}/agree").json()


def answer(client, link, state, value=1, **headers):
    content = {"token": state["token"], "attempt": state["attempt"], "value": value, "reaction_ms": 1500}
    return post(client, f"{link}/answer", content, **headers)


def test_a_rater_begins_answers_takes_back_and_comes_back(client):
    link, state = begun(client)
    assert (state["stage"], state["done"], state["total"]) == ("trial", 0, 9)
    then = answer(client, link, state).json()
    assert then["done"] == 1 and then["token"] != state["token"]
    undo = {"token": then["last"], "attempt": then["last_attempt"]}
    assert post(client, f"{link}/undo", undo).json()["token"] == state["token"]
    page = client.get(link)
    assert page.status_code == 200 and "rate.js" in page.text
    current = client.get(f"{link}/state").json()
    assert current["token"] == state["token"] and current["study"]["range"] == [-2, 2]
    assert post(client, f"{link}/withdraw").json()["stage"] == "withdrawn"


# --- What is blind ---


def shown(served, client):
    """Of every item of the study, as one rater sees it: its number, the state's answer and the media's."""
    study, store = served
    link, state = begun(client)
    found = []
    while state["stage"] == "trial":
        with sqlite3.connect(study.file) as db:
            number = db.execute("SELECT item FROM trials WHERE token = ?", (state["token"],)).fetchone()[0]
        db.close()
        found.append((number, client.get(f"{link}/state"), client.get(f"{link}/media/{state['token']}/0")))
        state = answer(client, link, state).json()
    return found


def test_nothing_but_the_pictures_tells_what_made_them(served, client):
    study, _ = served
    found = shown(served, client)
    assert {n for n, _, _ in found} == set(study.content.items)
    sizes = {media_file(study.folder / "media", n).stat().st_size for n in study.content.items}
    assert len(sizes) > 4  # they differ by what they show, and must not when they are served
    assert len({len(media.content) for _, _, media in found}) == 1
    for part in (1, 2):
        heads = [[(k, v) for k, v in each[part].headers.items() if k != "date"] for each in found]
        assert all(head == heads[0] for head in heads)
    assert len({len(state.content) for _, state, _ in found}) == 1
    text = b"".join(state.content for _, state, _ in found)
    text += b"".join(media.content for _, _, media in found) + client.get("/").content
    assert not [word for word in SECRETS if word.encode() in text]
    assert not [word for word in ("attention", "repeat", "kind") if word.encode() in text]


def test_every_video_has_the_same_form(served, client):
    forms = set()
    for _, _, media in shown(served, client):
        file = served[0].folder / "one.mp4"
        file.write_bytes(media.content)
        with av.open(str(file)) as container:
            (stream,) = container.streams
            frames = sum(1 for _ in container.decode(stream))
            size = (stream.width, stream.height, frames, float(stream.average_rate), container.duration)
            forms.add((container.format.name, stream.codec_context.name, *size, *container.metadata.items()))
    assert len(forms) == 1
    assert next(iter(forms))[4:6] == (2 * FPS, FPS)


def test_addresses_are_random_and_of_one_rater_and_question_alone(served, client):
    (mine, state), (_, other) = begun(client), begun(client)
    tokens = {state["token"], state["upcoming"], other["token"], other["upcoming"]}
    assert len(tokens) == 4 and {len(t) for t in tokens} == {22}
    assert client.get(f"{mine}/media/{other['token']}/0").status_code == 404
    assert client.get(f"{mine}/media/{state['token']}/1").status_code == 404  # only pairs have a second


def test_two_methods_are_served_in_the_same_time(served, client):
    study, store = served
    link, state = begun(client)
    with sqlite3.connect(study.file) as db:
        rows = db.execute(
            "SELECT i.method, t.token FROM trials t JOIN items i ON i.id = t.item JOIN raters r ON r.id = t.rater "
            "WHERE r.link = ?", (link.rsplit("/", 1)[1],),
        ).fetchall()  # fmt: skip
    db.close()
    token = dict(rows)
    seconds = {"rise": [], "occlusion": []}
    for _ in range(60):
        for method, measured in seconds.items():
            start = time.perf_counter()
            client.get(f"{link}/media/{token[method]}/0")
            measured.append(time.perf_counter() - start)
    medians = [statistics.median(measured) for measured in seconds.values()]
    assert 0.6 < medians[0] / medians[1] < 1.67


# --- What is hostile ---


@pytest.mark.parametrize(
    "host", ["evil.example", "testserver.evil.example", "127.0.0.1.evil.example", "", "10.0.0.7"]
)
def test_a_name_that_is_not_the_servers_is_refused(client, host):
    """A page of another site that has its name point here (DNS rebinding) sends that name."""
    for path in ("/", "/static/rate.js"):
        assert client.get(path, headers={"host": host}).status_code == 421
    assert post(client, "/start", host=host).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST", "localhost."])
def test_the_servers_own_names_are_not(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


def test_numeric_addresses_are_names_where_others_may_come(served):
    with TestClient(app_of(*served, any_address=True)) as client:
        assert client.get("/", headers={"host": "10.0.0.7:8000"}).status_code == 200
        assert client.get("/", headers={"host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("headers", [
    {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://testserver:81"},
    {"origin": "http://localhost"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
])  # fmt: skip
def test_another_origin_is_refused(client, headers):
    link, state = begun(client)
    assert answer(client, link, state, **headers).status_code == 403
    assert post(client, "/start", **headers).status_code == 403
    assert client.get(f"{link}/state").json()["done"] == 0


def test_the_own_origin_is_not(client):
    link, state = begun(client)
    own = {"origin": "http://testserver", "sec-fetch-site": "same-origin"}
    assert answer(client, link, state, **own).status_code == 200


def test_forms_of_other_sites_cannot_send_what_is_taken(client):
    """Browsers send these types without asking the server first."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
        headers = {} if kind is None else {"content-type": kind}
        assert client.post("/start", content="{}", headers=headers).status_code == 415


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 10_000, b'{"token": "x"', b"NaN", b'"x"', b"1" * 5000,
])  # fmt: skip
def test_what_is_no_object_is_refused(client, body):
    link, _ = begun(client)
    answered = client.post(f"{link}/answer", content=body, headers=JSON)
    assert answered.status_code == 400 and answered.json()["message"]


def test_a_huge_body_is_refused_before_it_is_read(client):
    link, _ = begun(client)
    sent = 0

    def parts():
        nonlocal sent
        for _ in range(10_000):
            sent += 4096
            yield b" " * 4096

    assert client.post(f"{link}/answer", content=b"x" * (LONGEST_BODY + 1), headers=JSON).status_code == 413
    assert client.post(f"{link}/answer", content=parts(), headers=JSON).status_code == 413


@pytest.mark.parametrize("content", [
    {}, {"token": 5, "attempt": 0}, {"token": "x", "attempt": -1}, {"token": "x", "attempt": True},
    {"token": "x", "attempt": 2**40}, {"token": "\u00fc", "attempt": 0}, {"token": ["x"], "attempt": 0},
])  # fmt: skip
def test_a_question_is_named_by_token_and_attempt(client, content):
    link, _ = begun(client)
    for path in ("answer", "undo"):
        assert post(client, f"{link}/{path}", content).status_code == 400


@pytest.mark.parametrize("token", ["' OR 1=1 --", "x", "%00", "../../../etc/passwd", "a" * 5000])
def test_forged_questions_are_not_found(client, token):
    link, state = begun(client)
    assert answer(client, link, state | {"token": token}).status_code == 404
    assert client.get(f"{link}/media/{token}/0").status_code == 404


@pytest.mark.parametrize("path", [
    "/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "/static/rate.html", "/static/",
    "/static//etc/passwd", "/etc/passwd", "//etc/passwd", "/r/", "/r/x", "/r/..%2f..%2fetc", "/docs", "/r/x/state",
    "/ratings.sqlite", "/static/page.css%00",
])  # fmt: skip
def test_nothing_but_its_pages_is_served(client, path):
    answered = client.get(path)
    assert answered.status_code == 404 and answered.json()["message"]


def test_an_answer_that_is_sent_again_counts_once(served, client):
    link, state = begun(client)
    replies = [answer(client, link, state).json() for _ in range(5)]
    assert all(reply == replies[0] for reply in replies) and replies[0]["done"] == 1
    other = answer(client, link, state, value=-1)
    assert other.status_code == 409 and "another window" in other.json()["message"]


def test_hostile_names_of_classes_stay_text(tmp_path):
    odd = "</script><img src=x onerror=alert(1)>"
    study, store = begin(make_explanations(tmp_path, methods=("rise",), n_videos=1, classes=(odd, "b")))
    with TestClient(app_of(study, store)) as client:
        link, state = begun(client)
        assert state["class"] == odd
        assert client.get(f"{link}/state").headers["content-type"] == "application/json"
        assert odd not in client.get(link).text
    store.close()


def test_pages_may_load_nothing_from_elsewhere(client):
    link, _ = begun(client)
    for path in ("/", link, "/static/rate.js", f"{link}/state", "/nothing"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["cache-control"] == "no-store" and headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff" and "server" not in headers


# --- Who may begin ---


def test_from_elsewhere_a_key_is_needed_to_begin(served):
    with TestClient(app_of(*served, key="secret")) as client:
        for key in ("", "Secret", "secret2", "\u00fc", "secre"):
            assert client.get("/", params={"key": key}).status_code == 403
            assert post(client, "/start", {"key": key}).status_code == 403
        assert post(client, "/start", {"key": 5}).status_code == 403
        assert client.get("/?key=secret").status_code == 200
        link = post(client, "/start", {"key": "secret"}).json()["link"]
        assert client.get(link).status_code == 200  # which cannot be guessed


def test_where_raters_are_named_nobody_else_begins(served):
    study, store = served
    with TestClient(app_of(study, store, open_to_all=False)) as client:
        assert "Please use the link" in client.get("/").text
        assert post(client, "/start").status_code == 403
        assert client.get(f"/r/{store.enroll('ada').result().link}").status_code == 200
        assert store.enroll("ada").result() == store.enroll("ada").result()


def test_a_study_that_is_full_says_so(served, monkeypatch, client):
    monkeypatch.setattr("lavx.rating.store.MOST_RATERS", 0)
    answered = post(client, "/start")
    assert answered.status_code == 403 and answered.json()["message"] == "This study takes no more raters."


@pytest.mark.parametrize("error, status, words", [
    ("database or disk is full", 507, "disk of the study's computer is full"),
    ("disk I/O error", 503, "not be stored"),
])  # fmt: skip
def test_what_cannot_be_stored_is_said(served, client, monkeypatch, error, status, words):
    link, state = begun(client)
    failure = sqlite3.OperationalError(error)
    if status == 507:
        failure.sqlite_errorname = "SQLITE_FULL"

    def fails(*_):
        raise failure

    with monkeypatch.context() as patched:
        patched.setattr(served[1], "_answer", fails)
        answered = answer(client, link, state)
    assert answered.status_code == status and words in answered.json()["message"]
    assert answer(client, link, state).json()["done"] == 1


# --- The command's server ---


@pytest.mark.parametrize("host, is_it", [
    ("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.8.8.8", True), ("0.0.0.0", False),
    ("::", False),    ("10.0.0.7", False), ("example.org", False),
])  # fmt: skip
def test_what_is_loopback(host, is_it):
    assert serving.is_loopback(host) == is_it


def test_the_address_to_open():
    assert serving.address("127.0.0.1", 8000, None) == "http://127.0.0.1:8000/"
    assert serving.address("::1", 8000, None) == "http://[::1]:8000/"
    assert serving.address("0.0.0.0", 80, "a b").endswith(":80/?key=a%20b")
