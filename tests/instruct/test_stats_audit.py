"""The audit of rendered clips: it knows true from false, and what a writer that lies gets past the checks."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from instruct.cards import LANGUAGES, truth_number, write_corpus
from instruct.fake_writer import FakeWriter, known_truths
from valley.cli import run
from valley.conversation import read_jsonl, write_jsonl
from valley.errors import ConfigError
from valley.instruct.auditing import ON_THE_WAY, Audit, audit, read_truths
from valley.instruct.corpus_checks import check_all
from valley.instruct.gateway.calls import REPLY, Calls
from valley.instruct.gateway.client import Reply
from valley.instruct.gateway.requests import canonical, request_key
from valley.instruct.places import quarantine_path, store_path
from valley.instruct.recipe import InstructSettings, WriterSettings
from valley.instruct.records import quarantined, to_conversation
from valley.instruct.run import checks_of, wanted_of
from valley.instruct.scene_claims import Claim, claims_in, count_claim
from valley.instruct.task import TASKS
from valley.instruct.writing import Writer
from valley.manifest import read_table, write_table
from valley.synthetic.dataset import scene_number
from valley.synthetic.narration import caption, description, event_sentence
from valley.synthetic.truth import ObjectTruth, ShotTruth, Truth, truth_of

SCENES = range(12)

RED = ObjectTruth("red", "circle", "big", "hits", "left", None, ("blue", "square"), 0.5, 1.5)
BLUE = ObjectTruth("blue", "square", "small", "pushed", "left", None, ("red", "circle"), 1.5, 2.5)
GREEN = ObjectTruth("green", "cross", None, "recolors", None, "yellow", None, 3.0, 4.0)
SCENE = Truth((ShotTruth(0.0, 5.0, (RED, BLUE, GREEN)),))


# ---- claims about a scene ----


def false_kinds(answer: str, language: str = "en", question: str = "") -> set[str]:
    return {claim.kind for claim in claims_in(question, answer, language, SCENE) if claim.is_false}


def both(words: str, one: str, other: str) -> tuple[str, str]:
    return words.format(one, other), words.format(other, one)


def kinds(answer: str, language: str = "en", question: str = "") -> set[str]:
    return {claim.kind for claim in claims_in(question, answer, language, SCENE)}


@pytest.mark.parametrize(
    ("true", "false", "kind", "language"),
    [
        ("A red circle is seen.", "A purple circle is seen.", "color", "en"),
        ("The cross turns yellow.", "The cross turns orange.", "color", "en"),
        ("有一个红色的圆形。", "有一个紫色的圆形。", "color", "zh"),
        ("Se ve un círculo rojo.", "Se ve un círculo morado.", "color", "es"),
        ("A red circle is seen.", "A red triangle is seen.", "shape", "en"),
        ("有一个蓝色的方形。", "有一个蓝色的三角形。", "shape", "zh"),
        ("Hay un cuadrado azul.", "Hay un triángulo azul.", "shape", "es"),
        ("The blue square does not turn.", "The blue cross does not turn.", "shape", "en"),
        ("The red circle moves to the left.", "The red circle moves to the right.", "direction", "en"),
        ("红色的圆形向左移动。", "红色的圆形向上移动。", "direction", "zh"),
        ("El círculo rojo va a la izquierda.", "El círculo rojo va hacia abajo.", "direction", "es"),
        ("There are three objects.", "There are four objects.", "count", "en"),
        ("视频里有三个物体。", "视频里有两个物体。", "count", "zh"),
        ("Hay tres objetos.", "Hay cinco objetos.", "count", "es"),
        (*both("First {} acts, and then {}.", "the red circle", "the green cross"), "order", "en"),
        (*both("首先是{}有动作，然后是{}。", "红色的圆形", "绿色的十字形"), "order", "zh"),
        (*both("Primero actúa {} y luego {}.", "el círculo rojo", "la cruz verde"), "order", "es"),
        ("The red circle hits the blue square.", "The green cross hits the blue square.", "cause", "en"),
        ("红色的圆形撞上了蓝色的方形。", "绿色的十字形撞上了蓝色的方形。", "cause", "zh"),
        ("El círculo rojo choca con el cuadrado azul.", "La cruz verde choca con él.", "cause", "es"),
        ("The red circle moves on its own.", "The blue square moves on its own.", "cause", "en"),
    ],
)  # fmt: skip
def test_a_true_claim_and_a_false_one_of_each_kind(true: str, false: str, kind: str, language: str):
    assert kind in kinds(true, language)
    assert false_kinds(true, language) == set()
    assert false_kinds(false, language) == {kind}


@pytest.mark.parametrize(
    ("question", "answer", "is_false"),
    [
        ("Why does the blue square move?", "Because the red circle hits it.", set()),
        ("Why does the blue square move?", "Because the green cross hits it.", {"cause"}),
        ("Which acts first, the green cross or the red circle?", "The red circle is first.", set()),
        ("Which acts first, the green cross or the red circle?", "The green cross is first.", {"order"}),
        ("How many objects are there?", "There are three.", set()),
        ("How many objects are there?", "There are four.", {"count"}),
        ("Where does the red circle go?", "It moves to the left.", set()),
        ("Where does the red circle go?", "It moves up.", {"direction"}),
    ],
)
def test_what_is_said_is_said_of_what_was_asked(question: str, answer: str, is_false: set[str]):
    assert false_kinds(answer, question=question) == is_false
    assert kinds(answer, question=question)


@pytest.mark.parametrize(
    "answer",
    [
        "There is no purple circle.",
        "It cannot be told from the video.",
        "At 2.5 s it is 40 % brighter.",
        "没有紫色的圆形。",
        "",
    ],
)
def test_what_is_denied_or_not_of_this_world_is_no_false_claim(answer: str):
    assert false_kinds(answer, "zh" if "没" in answer else "en") == set()


def test_a_number_beside_an_answer_is_judged_by_the_question():
    assert count_claim(3, "How many objects are there?", "en", SCENE) == Claim("count", False, "3")
    assert count_claim(2, "How many objects are there?", "en", SCENE) == Claim("count", True, "2")
    assert count_claim(2, "How often does it happen?", "en", SCENE) is None


@pytest.mark.parametrize("level", ["core", "rich"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_that_is_true_of_a_scene_is_taken_for_false(level: str, language: str):
    found: list[Claim] = []
    for number in range(30):
        truth = truth_of(scene_number(5, number, level=level))  # type: ignore[arg-type]
        texts = [caption(truth, language), description(truth, language)]
        texts += [event_sentence(item, language) for item in truth.objects]
        found += [claim for text in texts for claim in claims_in("", text, language, truth)]
    assert [claim for claim in found if claim.is_false] == []
    assert Counter(claim.kind for claim in found).keys() >= {"color", "shape", "direction", "cause"}
    assert len(found) > 300


# ---- a whole run ----


class InTheProcess:
    """Asks the writer of the tests without a wire, and keeps the replies as the gateway does."""

    def __init__(self, mind: FakeWriter, calls: Calls) -> None:
        self.mind, self.calls = mind, calls

    async def complete(self, body: Mapping[str, Any], *, sample: int = 0, stored_only: bool = False) -> Reply:
        key = request_key(canonical(body), sample=sample)
        content = self.mind.write(body, key)
        raw = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
        record = {"raw": json.dumps(raw), "tokens": [100, 20]}
        await self.calls.write(self.calls.next_attempt(key), REPLY, record)
        return Reply(key, content, "stop", tokens=(100, 20))


@dataclass
class Ran:
    """What a run left: the file, and what the writer noted of its lies."""

    corpus: Path
    out: Path
    lies: Counter[str]
    num_wanted: int
    num_accepted: int
    audit: Audit


def ran(
    folder: Path,
    *,
    lies: float,
    checks: tuple[str, ...] = ("all",),
    most_tries: int = 3,
    scenes: range = SCENES,
) -> Ran:
    """Write about rendered clips with a writer that lies in this share of its replies."""
    corpus, out = with_truths(write_corpus(folder / "corpus", scenes)), folder / "talks.jsonl"
    writer = WriterSettings(base_url="http://localhost/v1", model="writer", most_tries=most_tries)
    settings = InstructSettings(
        corpus=corpus, out=out, writer=writer, tasks=dict.fromkeys(TASKS.names(), 1.0), languages=LANGUAGES
    )
    mind, calls, wanted = (
        FakeWriter(known_truths(len(SCENES)), lies=lies),
        Calls(store_path(out)),
        wanted_of(settings),
    )
    chosen = checks_of(checks)

    async def write() -> list[Any]:
        asks = Writer(InTheProcess(mind, calls), "writer", chosen, most_tries=most_tries)
        return [await asks.write(one) for one in wanted]

    written = asyncio.run(write())
    calls.close()
    found = check_all([w for w in written if w.draft is not None], chosen)
    write_jsonl(out, [to_conversation(w, chosen) for w in found.kept])
    given_up = [w for w in written if w.draft is None] + found.refused
    lines = [json.dumps(quarantined(w)) + "\n" for w in given_up]
    quarantine_path(out).write_text("".join(lines), encoding="utf-8")
    told = Counter(mind.books.lies.values())
    return Ran(corpus, out, told, len(wanted), len(found.kept), audit(corpus, out))


def with_truths(corpus: Path) -> Path:
    """Write into a collection what its source knows of each clip, as `valley collect synthetic` does."""
    media = {row["media_id"]: row for row in read_table(corpus, "media").to_pylist()}
    rows = read_table(corpus, "clip").to_pylist()
    for row in rows:
        name = media[row["media_id"]]["source_item_id"]
        truth = truth_number(int(name.rpartition("/")[2]))
        if row["level"] == "stretch":
            row["metadata"] = json.dumps({f"synthetic:{name}": {"truth": truth.to_record()}})
    write_table(corpus, "clip", rows)
    return corpus


@pytest.fixture(scope="module")
def lying(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return ran(tmp_path_factory.mktemp("lying"), lies=0.3)


def test_the_truth_of_every_clip_is_read(lying: Ran):
    truths = read_truths(lying.corpus)
    assert len(truths) == len(SCENES)
    assert set(truths.values()) == {truth_number(number) for number in SCENES}


def test_a_lying_writer_gets_few_lies_past_the_checks_and_the_refused_ones_hold_them(lying: Ran):
    found = lying.audit
    assert sum(lying.lies.values()) >= 30
    for tally in found.accepted.kinds.values():
        assert (tally.share or 0.0) <= 0.01
    assert found.accepted.num_false <= 0.02 * found.accepted.num_replies
    assert found.share_refused is not None
    assert found.share_refused >= 0.9
    assert found.refused.num_false >= 0.9 * sum(lying.lies.values())
    for kind in (kind for kind, told in lying.lies.items() if told >= 5):
        assert found.refused.kinds[kind].num_false >= 0.7 * lying.lies[kind], kind  # type: ignore[index]
    assert found.by_check[ON_THE_WAY].num_false > 0
    assert found.num_unknown == 0


def test_without_checks_the_audit_finds_in_what_was_accepted_nearly_every_lie_that_was_told(tmp_path: Path):
    free = ran(tmp_path, lies=0.3, checks=("turns",), most_tries=1)
    found = free.audit
    told = sum(free.lies.values())
    assert found.accepted.num_false + found.refused.num_false >= 0.9 * told
    assert found.accepted.num_false + found.refused.num_false <= told
    assert found.examples[0][1] in found.accepted.kinds


def test_an_honest_writer_is_found_to_be_one_and_loses_little(tmp_path: Path):
    honest = ran(tmp_path, lies=0.0, scenes=range(8))
    found = honest.audit
    assert (found.accepted.num_false, found.refused.num_false, found.share_refused) == (0, 0, None)
    assert honest.num_accepted >= 0.95 * honest.num_wanted


def test_without_the_store_the_replies_before_an_accepted_one_are_not_known(lying: Ran, tmp_path: Path):
    again = [one for one in read_jsonl(lying.out) if one.metadata["num_tries"] > 1]
    write_jsonl(tmp_path / "talks.jsonl", again)
    found = audit(lying.corpus, tmp_path / "talks.jsonl")
    assert found.accepted.num_replies == len(again) > 0
    assert ON_THE_WAY not in found.by_check


def test_conversations_about_other_clips_are_counted_apart(lying: Ran, tmp_path: Path):
    one = next(read_jsonl(lying.out))
    write_jsonl(tmp_path / "t.jsonl", [replace(one, metadata={**one.metadata, "clip_id": "other"}), one])
    found = audit(lying.corpus, tmp_path / "t.jsonl")
    assert (found.num_unknown, found.accepted.num_replies) == (1, 1)


def test_a_collection_without_truth_is_none_to_audit(tmp_path: Path):
    corpus = write_corpus(tmp_path / "corpus", [0])
    write_jsonl(tmp_path / "t.jsonl", [])
    with pytest.raises(ConfigError, match="want a collection of the source synthetic"):
        audit(corpus, tmp_path / "t.jsonl")


def test_the_command_prints_shares_or_gives_json(
    lying: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "talks.jsonl"
    write_jsonl(out, list(read_jsonl(lying.out))[:20])
    quarantine_path(out).write_bytes(quarantine_path(lying.out).read_bytes())
    words = ["instruct", "audit", str(lying.corpus), str(out)]
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "100.0% of the replies with a false fact were refused" in said
    assert "grounded_things" in said
    assert run([*words, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["accepted"]["num_replies"] == 20
    assert record["accepted"]["kinds"]["color"]["share"] == 0.0
    assert record["share_of_false_refused"] == 1.0
