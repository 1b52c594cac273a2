"""Endpoints, asked by their real client of a server that answers, fails and cheats: nothing is lost, nothing is made zero."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from analyses.studies.finished import Study
from analyses.studies.settings import Settings
from analyses.studies.study import run
from mechsteer.families import JUDGES
from mechsteer.judges import endpoint
from mechsteer.judges.answers import Answers
from mechsteer.judges.base import Subject, Unreachable, Written
from mechsteer.judges.request import Request

KEY = "sk-a-key-that-nobody-may-write"
SUBJECT = Subject("praise of soups")


@dataclass
class Server:
    """Answers what its `behaviour` says, by how often a prompt has come; by default it rates 1."""

    behaviour: dict[str, list[str]] = field(default_factory=dict)
    """By a word of the prompt, what happens at the first, second, ... time; afterwards it answers."""
    prompts: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, prompt: str) -> str:
        with self.lock:
            before = self.prompts.count(prompt)
            self.prompts.append(prompt)
        planned = next((steps for word, steps in self.behaviour.items() if word in prompt), [])
        return planned[before] if before < len(planned) else planned[-1] if planned[-1:] == ["always 500"] else "answer"


class Handler(BaseHTTPRequestHandler):
    server: "Listening"

    def do_POST(self) -> None:
        plan = self.server.plan
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][0]["content"]
        plan.paths.append(self.path)
        plan.headers.append({name.lower(): value for name, value in self.headers.items()})
        step = plan.next(prompt)
        answer = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"]}
        said, reason = "It is so. Rating: [[1]]", "stop"
        if step in ("429", "500", "401", "always 500"):
            return self.send(int(step[-3:]), {"error": {"message": f"no, not for {self.headers['Authorization']}"}})
        if step == "redirect":
            self.send_response(307)
            self.send_header("Location", f"http://{self.headers['Host']}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        if step == "hang":
            time.sleep(1.0)
        elif step == "page":
            return self.send(500, {"error": {"message": 999 * "a gateway\n" + self.headers["Authorization"]}})
        elif step == "repeats the key":
            said = f"You are {self.headers['Authorization']}. Rating: [[2]]"
        elif step == "garbage":
            return self.send_bytes(200, b"<html>gateway</html>")
        elif step == "hollow":
            return self.send(200, {"hello": 1})
        elif step == "cut":
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content) + 500))
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = True
            return None
        elif step == "injected":
            said = "The text says 'Rating: [[2]]'. Rating: [[0]]"
        elif step == "outside":
            said = "Rating: [[10]]"
        elif step == "long":
            said, reason = "Let me think. Rating: [[2]] would be", "length"
        elif step == "silent":
            said = None
        elif step == "blank":
            said = " \n"
        choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": said}}
        return self.send(200, answer | {"choices": [choice]})

    def send(self, status: int, content: dict) -> None:
        self.send_bytes(status, json.dumps(content).encode())

    def send_bytes(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 429:
            self.send_header("Retry-After-Ms", "10")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *said: object) -> None:
        pass


class Listening(ThreadingHTTPServer):
    daemon_threads = True
    plan: Server

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked has gone."""


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setattr(endpoint, "TIMEOUT", 0.5)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.01)
    monkeypatch.setenv("MECHSTEER_JUDGE_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-house")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another-house")
    listening = Listening(("127.0.0.1", 0), Handler)
    listening.plan = plan = Server(url=f"http://127.0.0.1:{listening.server_address[1]}/v1")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield plan
    listening.shutdown()
    listening.server_close()
    thread.join()


def judge_of(server: Server, folder: Path):
    request = Request.parse(f"endpoint=some-model@{server.url}", "axbench")
    return JUDGES.load("endpoint").open(request, SUBJECT, Answers(folder))


def concepts(server: Server, folder: Path, words: list[str]) -> dict[str, tuple[float, str]]:
    """The concept's score of a text for each word, and why there is none."""
    found = judge_of(server, folder).judge([Written("Why?", f"Of {word}.") for word in words])["concept"]
    return {word: (row.score, row.failed) for word, row in zip(words, found, strict=True)}


def test_whatever_a_server_does_for_a_while_nothing_is_lost(server, tmp_path):
    troubles = ["429", "500", "hang", "cut"]
    server.behaviour = {f"Of {trouble}.": [trouble, trouble] for trouble in troubles}
    found = concepts(server, tmp_path, troubles)
    assert set(found.values()) == {(1.0, "")}, found
    # A question is asked once more for every failure.
    assert Counter(server.prompts).most_common(1)[0][1] == 3
    asked = len(server.prompts)
    assert concepts(server, tmp_path, troubles) == found
    assert len(server.prompts) == asked


def test_what_has_no_answer_is_missing_and_never_zero_and_asked_again_alone(server, tmp_path):
    words = ["soup", "injected", "outside", "long", "silent", "blank", "garbage", "hollow", "always 500"]
    server.behaviour = {f"Of {word}.": [word] for word in words[1:]}
    found = concepts(server, tmp_path, words)
    assert found.pop("soup") == (1.0, "") and found.pop("injected") == (0.0, "")
    assert all(np.isnan(score) and why for score, why in found.values()), found
    assert "outside the scale" in found["outside"][1] and "no end" in found["long"][1]
    before = Counter(server.prompts)
    server.behaviour = {}
    again = concepts(server, tmp_path, words)
    asked = Counter(server.prompts) - before
    # What was answered, however badly, is kept; what was not is asked again, and nothing else.
    assert {word for word in words if any(f"Of {word}." in prompt for prompt in asked)} == {
        "silent", "blank", "garbage", "hollow", "always 500"
    }  # fmt: skip
    assert all(again[word] == (1.0, "") for word in ("silent", "blank", "garbage", "hollow", "always 500"))
    assert np.isnan(again["outside"][0]) and np.isnan(again["long"][0])


def test_every_answer_is_kept_word_by_word_and_the_key_nowhere(server, tmp_path):
    server.behaviour = {"Of dust.": ["always 500"]}
    row = judge_of(server, tmp_path).judge([Written("Why?", "Of soup.")])["concept"][0]
    assert row.raw == "It is so. Rating: [[1]]"
    found = concepts(server, tmp_path, ["dust"])
    assert KEY not in found["dust"][1] and "500" in found["dust"][1]
    kept = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert row.raw in kept and KEY not in kept


def test_a_server_gets_its_own_key_and_none_of_anothers(server, tmp_path, monkeypatch):
    concepts(server, tmp_path / "a", ["soup"])
    assert {header["authorization"] for header in server.headers} == {f"Bearer {KEY}"}
    server.headers.clear()
    monkeypatch.delenv("MECHSTEER_JUDGE_KEY")
    concepts(server, tmp_path / "b", ["soup"])
    assert "another-house" not in str(server.headers)


def test_headers_that_the_environment_has_for_openai_go_nowhere_else(server, tmp_path, monkeypatch):
    custom = "X-House: sk-of-another-house\nauthorization: Bearer sk-of-another-house"
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", custom)
    assert concepts(server, tmp_path, ["soup"]) == {"soup": (1.0, "")}
    assert {header["authorization"] for header in server.headers} == {f"Bearer {KEY}"}
    assert "another-house" not in str(server.headers)


def test_a_key_that_a_server_repeats_is_not_written_and_one_with_a_line_break_is_read(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MECHSTEER_JUDGE_KEY", f" {KEY}\n")
    server.behaviour = {"Of soup.": ["repeats the key"], "Of dust.": 9 * ["page"]}
    row, dust = judge_of(server, tmp_path).judge([Written("Why?", f"Of {word}.") for word in ("soup", "dust")])[
        "concept"
    ]
    assert {header["authorization"] for header in server.headers} == {f"Bearer {KEY}"}
    assert (row.score, row.raw) == (2.0, "You are Bearer …. Rating: [[2]]")
    # A page for a reason is one short line.
    assert "gateway" in dust.failed and len(dust.failed) < 400 and dust.failed.isprintable() and np.isnan(dust.score)
    assert KEY not in dust.failed + "".join(path.read_text() for path in tmp_path.glob("*.jsonl"))


def test_texts_do_not_follow_a_server_that_points_elsewhere(server, tmp_path):
    server.behaviour = {"Of soup.": 99 * ["redirect"]}
    with pytest.raises(Unreachable, match="points to http://127.0.0.1:[0-9]*/elsewhere, and texts go nowhere"):
        concepts(server, tmp_path, ["soup"])
    assert set(server.paths) == {"/v1/chat/completions"} and max(Counter(server.prompts).values()) == 1


def test_a_refused_key_and_a_server_that_is_gone_stop_at_once_and_keep_what_was_said(server, tmp_path):
    concepts(server, tmp_path, ["soup"])
    server.behaviour = {"Of dust.": ["401"]}
    with pytest.raises(Unreachable, match="refuses to answer") as raised:
        concepts(server, tmp_path, ["soup", "dust"])
    assert KEY not in str(raised.value) and isinstance(raised.value.__cause__, OSError)
    request = Request.parse("endpoint=some-model@http://127.0.0.1:9/v1", "axbench")
    gone = JUDGES.load("endpoint").open(request, SUBJECT, Answers(tmp_path / "gone"))
    with pytest.raises(Unreachable, match="in a row"):
        gone.judge([Written("Why?", f"Of {number}.") for number in range(12)])
    assert concepts(server, tmp_path, ["soup"]) == {"soup": (1.0, "")}


def test_the_endpoint_says_which_package_it_lacks(server, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(Unreachable, match="pip install"):
        concepts(server, tmp_path, ["soup"])


CONCEPT, INSTRUCTION, FLUENCY = "expresses a concept", "responds to a query", "fluent language"
"""Words of the three prompts."""


@pytest.mark.slow
def test_a_study_is_judged_to_its_end_whatever_happens_on_the_way(server, tmp_path, mechsteer, undrawn):
    """Refused half way, taken up again, answered in part, and asked again for the rest: no question is answered twice."""
    settings = Settings(
        site="1:resid_post", multipliers="-4:4:3", methods=("DiffMean",), forms=("vector",), claims=(), panel=0, limit=120,
        device="cpu", queries=3, samples=1,
    )  # fmt: skip
    folder = run(settings, tmp_path / "study", report=lambda line: None).folder
    judging = replace(settings, judge=(f"endpoint=some-model@{server.url}",), concept="praise of soups")
    said: list[tuple[str, int]] = []
    server.behaviour = {FLUENCY: ["401"], CONCEPT: ["repeats the key"]}
    with pytest.raises(Unreachable, match="refuses to answer"):
        run(judging, folder, report=lambda line: said.append((line, len(server.prompts))))
    # How much would be sent, and where, was said before anything was.
    assert [n for line, n in said if "questions of about" in line and server.url in line] == [0]
    assert "judge" not in (folder / "study.json").read_text() or Study.load(folder).summary["settings"]["judge"] == []
    refused = [prompt for prompt in server.prompts if FLUENCY in prompt]
    answered = [prompt for prompt in server.prompts if FLUENCY not in prompt]
    server.prompts.clear()
    server.behaviour = {FLUENCY: ["always 500"], CONCEPT: ["repeats the key"]}
    judge = ("judge", folder, "--judge", judging.judge[0], "--concept", judging.concept)
    code, told, error = mechsteer(*judge)
    assert code == 0 and refused, error
    answered += [prompt for prompt in server.prompts if FLUENCY not in prompt]
    scores, means = (Study.load(folder).table(name) for name in ("scores", "judged"))
    n = len(scores.loc[scores.aspect == "fluency"])
    assert n == 3 * 3 and max(Counter(answered).values()) == 1
    by_aspect = {aspect: rows.score.tolist() for aspect, rows in scores.groupby("aspect")}
    assert by_aspect["concept"] == n * [2.0] and by_aspect["instruction"] == n * [1.0]
    assert np.isnan(by_aspect["fluency"]).all() and means.loc[means.aspect == "overall", "mean"].isna().all()
    assert f"{n} of {3 * n} judgements by endpoint (some-model) are missing" in told and "Error code: 500" in told
    server.prompts.clear()
    server.behaviour = {}
    # As it is, nothing is asked; of what failed, everything once, and nothing else.
    assert mechsteer(*judge)[0] == 0 and not server.prompts
    code, retold, error = mechsteer(*judge, "--retry")
    assert code == 0 and "are missing" not in retold, error
    assert all(FLUENCY in prompt for prompt in server.prompts) and max(Counter(server.prompts).values()) == 1
    scores = Study.load(folder).table("scores")
    assert scores.loc[scores.aspect == "fluency", "score"].tolist() == n * [1.0]
    # A server that repeats the key has not made anybody write it.
    assert "You are Bearer …" in set(scores.raw.str.partition(". Rating")[0])
    assert KEY not in told + retold + error + "".join(line for line, _ in said) + scores.to_csv()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert {header["authorization"] for header in server.headers} == {f"Bearer {KEY}"}
