"""Counts of what was written and given up, and the page that shows them."""

import asyncio
import json
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

from instruct.sentences import SENTENCES
from valley.cli import run
from valley.conversation import Conversation, Video, assistant, user, write_jsonl
from valley.errors import ConfigError, ConversationError
from valley.instruct.gateway.calls import REPLY, Calls
from valley.instruct.given_up import read_given_up
from valley.instruct.places import quarantine_path, store_path
from valley.instruct.report import MOST_REPLY, write_report
from valley.instruct.stats import MOST_SAMPLES, UNSURE, language_of, stats_of
from valley.language_id import are_close
from valley.reporting.histogram import NUM_WORDS_EDGES, bin_of

FRENCH = "Un homme coupe des oignons dans une petite cuisine pendant que la radio joue."
EVIL = "<script>alert(1)</script>"


def talk(number: int, answers: Sequence[str], *, language: str = "en", **facts: object) -> Conversation:
    messages = [m for n, a in enumerate(answers) for m in (user(f"Question {n}?"), assistant(a))]
    messages[0] = user(Video("a.mp4"), "Question 0?")
    known = {
        "task": "dialogue",
        "source": "webvid",
        "licence": "CC-BY-4.0",
        "licence_evidence": "their page",
        "num_tries": 1,
        "mended": False,
        "cost_usd": 0.001,
        "request_keys": [f"key{number}"],
        "evidence": ["F1 [caption, en] A man.", "F2 [caption, en] A dog."],
        "facts_used": ["F2"],
    }
    return Conversation(tuple(messages), language, f"talk-{number}", {**known, **facts})


def line(number: int, *tries: tuple[str, str, int | float], task: str = "dialogue", reply: str = "{}") -> str:
    """A line of the quarantine; each try is (check, reason, number)."""
    written = [
        {
            "key": f"g{number}-{n}",
            "content": reply,
            "reason": r,
            "detail": f"{r} it is",
            "check": c,
            "number": x,
        }
        for n, (c, r, x) in enumerate(tries)
    ]
    check, reason, value = tries[-1] if tries else ("server", "no_reply", 0.0)
    record = {
        "id": f"given-up-{number}",
        "task": task,
        "language": "en",
        "clip_id": "c",
        "check": check,
        "reason": reason,
        "detail": "a detail",
        "number": value,
        "tries": written,
        "evidence": ["F1 [caption, en] A man."],
        "cost_usd": 0.002,
    }
    return json.dumps(record) + "\n"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Five conversations in two languages, three given up, and the raw replies of two."""
    path = tmp_path / "talks.jsonl"
    en, zh = SENTENCES["en"], SENTENCES["zh"]
    write_jsonl(
        path,
        [
            talk(0, [en[0], en[1]]),
            talk(1, [en[2], FRENCH], num_tries=3, mended=True),
            talk(2, ["Yes. " + en[3], "No. " + en[4], "Yes, it is so, as far as one can see."]),
            talk(3, [zh[0]], language="zh", task="counting", licence="unknown", licence_evidence=""),
            talk(4, ["Ja."], source="", request_keys=["key0"]),
        ],
    )
    quarantine_path(path).write_text(
        line(0, ("reply", "truncated", 0), ("grounded_numbers", "ungrounded_number", 4))
        + line(1, ("grounded_numbers", "ungrounded_number", 6), task="counting", reply=EVIL)
        + line(2),
        encoding="utf-8",
    )
    calls = Calls(store_path(path))

    async def keep() -> None:
        for key, tokens in (("key0", [100, 20]), ("g1-0", [50, 5]), ("other", [9999, 9999])):
            await calls.write(calls.next_attempt(key), REPLY, {"raw": "{}", "tokens": tokens})

    asyncio.run(keep())
    calls.close()
    return path


def test_everything_is_counted_once(written: Path):
    stats = stats_of(written)
    assert dict(stats.accepted) == {("dialogue", "en"): 4, ("counting", "zh"): 1}
    assert dict(stats.given_up) == {("dialogue", "en"): 2, ("counting", "en"): 1}
    assert stats.num_turns == 9
    assert (dict(stats.tries), stats.num_mended) == ({1: 4, 3: 1}, 1)
    assert stats.cost_usd == pytest.approx(5 * 0.001 + 3 * 0.002)
    assert stats.tokens == (150, 25)  # a reply that two share is one; what nobody asked for here is none
    assert {tag: dict(n) for tag, n in stats.verdicts.items()} == {"en": {True: 2, False: 1}}
    assert dict(stats.sources) == {"webvid": 4, "not said": 1}
    assert stats.licences["unknown", ""] == 1


def test_reasons_have_their_numbers_and_count_the_replies_before_the_last(written: Path):
    reasons = stats_of(written).reasons
    numbers = reasons["grounded_numbers", "ungrounded_number"]
    assert (numbers.num_conversations, numbers.num_replies, numbers.spread) == (2, 2, (4, 5, 6))
    truncated = reasons["reply", "truncated"]
    assert (truncated.num_conversations, truncated.num_replies) == (0, 1)
    assert (reasons["server", "no_reply"].num_conversations, reasons["server", "no_reply"].spread) == (
        1,
        None,
    )


def test_the_share_in_the_language_is_of_answers_that_are_long_enough(written: Path):
    stats = stats_of(written)
    en = stats.languages["en"]
    assert (en.num_answers, en.num_right, dict(en.others)) == (8, 6, {"fr": 1, UNSURE: 1})
    assert en.share == pytest.approx(6 / 7)
    assert stats.languages["zh"].share == 1.0
    assert stats.share_in_language == pytest.approx(7 / 8)


@pytest.mark.parametrize("tag", sorted(SENTENCES))
def test_ordinary_sentences_are_told_to_be_in_their_language(tag: str):
    wrong = [s for s in SENTENCES[tag] if (found := language_of(s)) != UNSURE and not are_close(found, tag)]
    assert wrong == []


def test_short_chinese_is_not_japanese_and_kana_is_not_chinese():
    assert language_of("视频里一共有三个物体。") == "zh"
    assert language_of("赤い円が右へ動いて、それから止まります。") == "ja"


@pytest.mark.parametrize(("words", "edge"), [(0, 0), (1, 1), (4, 4), (5, 4), (7, 6), (600, 512)])
def test_a_number_of_words_falls_into_the_bin_that_begins_before_it(words: int, edge: int):
    assert NUM_WORDS_EDGES[bin_of(words, NUM_WORDS_EDGES)] == edge


def test_lengths_are_of_answers_by_task(written: Path):
    stats = stats_of(written)
    assert sum(stats.lengths["dialogue"]) == 8
    assert stats.lengths["dialogue"][bin_of(1, NUM_WORDS_EDGES)] == 1  # "Ja."
    assert sum(stats.lengths["counting"]) == 1


def test_the_same_few_are_shown_whatever_the_order(tmp_path: Path):
    talks = [talk(n, [SENTENCES["en"][0]]) for n in range(20)]
    shown = []
    for order in (talks, talks[::-1]):
        write_jsonl(tmp_path / "t.jsonl", order)
        shown.append([one.id for one in stats_of(tmp_path / "t.jsonl").samples])
    assert shown[0] == shown[1]
    assert len(shown[0]) == MOST_SAMPLES


def test_there_may_be_no_quarantine_and_no_store(tmp_path: Path):
    write_jsonl(tmp_path / "t.jsonl", [talk(0, [SENTENCES["en"][0]])])
    stats = stats_of(tmp_path / "t.jsonl")
    assert (stats.given_up.total(), stats.tokens) == (0, None)
    with pytest.raises(ConfigError, match="there is none"):
        stats_of(tmp_path / "gone.jsonl")


@pytest.mark.parametrize("broken", ["[]", "{", '{"id": "a"}', '{"id": "a", "tries": 5}', "[" * 5000])
def test_a_line_that_is_none_of_a_quarantine_is_named(broken: str, tmp_path: Path):
    path = tmp_path / "q.jsonl"
    path.write_text(line(0, ("reply", "schema", 0)) + broken + "\n", encoding="utf-8")
    with pytest.raises(ConversationError, match=r"q.jsonl:2: want a line as `valley instruct` writes it"):
        list(read_given_up(path))


# ---- the page ----


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


@pytest.fixture
def page(written: Path, tmp_path: Path) -> Page:
    return Page(write_report(stats_of(written), tmp_path / "report.html", name=written.name))


def test_the_page_needs_nothing_beside_it_and_runs_nothing(page: Page):
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "img")]
    assert "http://" not in page.html
    assert "https://" not in page.html
    assert EVIL in page.words  # shown as it came
    assert any(name == "meta" and attrs.get("name") == "viewport" for name, attrs in page.tags)
    assert "prefers-color-scheme: dark" in page.html


def test_the_page_has_its_sections_numbers_and_samples(page: Page):
    headings = {attrs["id"] for tag, attrs in page.tags if tag == "h2"}
    assert headings == {
        *("tasks", "languages", "reasons", "lengths", "tries", "verdicts"),
        *("sources", "licences", "samples", "refused"),
    }
    assert "Fewer than 99% of the answers are in the language that was asked for." in page.words
    for words in ("85.7%", "fr 1", "4, 5, 6", "66.7%", "F2 [caption, en] A dog."):
        assert words in page.words, words
    used = [attrs for tag, attrs in page.tags if tag == "li" and attrs.get("class") == "used"]
    assert len(used) == 3  # the second fact of two dialogues and of the one that counts
    assert sum(tag == "svg" for tag, _ in page.tags) == 2


def test_a_raw_reply_of_any_length_is_cut(written: Path, tmp_path: Path):
    quarantine_path(written).write_text(
        line(0, ("reply", "schema", 0), reply="x" * 100_000), encoding="utf-8"
    )
    html = write_report(stats_of(written), tmp_path / "r.html", name="t").read_text(encoding="utf-8")
    assert "x" * MOST_REPLY + "… and 96000 more letters" in html


def test_equal_files_give_equal_pages(written: Path, tmp_path: Path):
    pages = [write_report(stats_of(written), tmp_path / f"{n}.html", name="t").read_bytes() for n in range(2)]
    assert pages[0] == pages[1]


def test_a_file_with_nothing_in_it_has_a_page(tmp_path: Path):
    (tmp_path / "t.jsonl").write_text("", encoding="utf-8")
    page = Page(write_report(stats_of(tmp_path / "t.jsonl"), tmp_path / "r.html", name="t.jsonl"))
    assert "There are no answers." in page.words
    assert "Nothing was given up." in page.words


# ---- valley instruct stats ----


def test_the_command_prints_or_gives_json_and_writes_the_page(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "page" / "report.html"
    assert run(["instruct", "stats", str(written), "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "5 conversations, $0.0110 for all replies; 175 tokens" in said
    assert out.is_file()
    assert run(["instruct", "stats", str(written), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["num_conversations"] == 5
    assert record["languages"]["en"]["share"] == pytest.approx(6 / 7)
    assert record["tasks"]["dialogue"]["words"]["1"] == 1
    assert record["reasons"]["grounded_numbers: ungrounded_number"]["numbers"]["middle"] == 5
