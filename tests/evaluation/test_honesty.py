"""Yes-bias, the language of answers, and intervals over clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from valley.evaluation.benchmark import Metric
from valley.evaluation.honesty import language_consistency, yes_bias
from valley.evaluation.metrics import bootstrap_interval, wilson_interval
from valley.evaluation.records import AnswerRecord
from valley.evaluation.report import as_table, draw_report, leaf_of, make_report
from valley.evaluation.yes_no import LANGUAGES, verdict_of

SENTENCES = {
    "ar": "تتحرك الدائرة الحمراء ببطء نحو الجانب الأيمن من الشاشة.",
    "de": "Der rote Kreis bewegt sich langsam auf die rechte Seite des Bildes.",
    "en": "The red circle moves slowly towards the right side of the picture.",
    "es": "El círculo rojo se mueve despacio hacia el lado derecho de la imagen.",
    "fr": "Le cercle rouge se déplace lentement vers le côté droit de l'image.",
    "hi": "लाल वृत्त धीरे-धीरे चित्र के दाहिने ओर बढ़ता है।",
    "it": "Il cerchio rosso si muove lentamente verso il lato destro dell'immagine.",
    "ja": "赤い円はゆっくりと画面の右側へ動いています。",
    "ko": "빨간 원이 화면의 오른쪽으로 천천히 움직입니다.",
    "pl": "Czerwone koło powoli przesuwa się na prawą stronę obrazu.",
    "ru": "Красный круг медленно движется к правой стороне картинки.",
    "th": "วงกลมสีแดงเคลื่อนที่ช้า ๆ ไปทางด้านขวาของภาพ",
    "tr": "Kırmızı daire yavaşça resmin sağ tarafına doğru hareket ediyor.",
    "vi": "Hình tròn màu đỏ di chuyển chậm về phía bên phải của bức tranh.",
    "zh": "红色的圆慢慢地向画面的右边移动。",
}


def record(
    answer: str, language: str, *, number: int = 0, reference: str = "", clip: str = ""
) -> AnswerRecord:
    return AnswerRecord(
        "", "b", str(number), language=language, reference=reference, answer=answer, clip=clip
    )


@pytest.mark.parametrize("language", SENTENCES)
def test_an_answer_in_the_questions_language_is_told_from_others(language: str) -> None:
    others = {k: v for k, v in SENTENCES.items() if k != language}
    right = record(SENTENCES[language], language)
    wrong = [record(v, language, number=n) for n, v in enumerate(others.values(), 1)]
    found = language_consistency([right, *wrong])
    assert found is not None
    leaf = found["languages"][language]
    assert leaf["count"] + leaf["undecided"] == len(SENTENCES)
    assert leaf["undecided"] <= 1
    assert leaf["score"] == pytest.approx(100 / leaf["count"], abs=0.06)


def test_the_language_that_was_asked_for_counts() -> None:
    asked = AnswerRecord(
        "", "b", "1", language="en", answer=SENTENCES["de"], generation={"answer_language": "de"}
    )
    found = language_consistency([asked, record("B", "en", number=2), record("...", "en", number=3)])
    assert found is not None
    assert found["overall"]["score"] == 100.0
    assert (found["overall"]["count"], found["overall"]["undecided"]) == (1, 2)


@pytest.mark.parametrize(
    ("text", "language", "verdict"),
    [
        ("Yes.", "en", True),
        ("There is a red circle. No.", "en", False),
        ("Yes it does", "en", True),
        ("It does, yes!", "en", True),
        ("I know nothing.", "en", None),
        ("是的。", "zh", True),
        ("没有，它不动。", "zh", False),
        ("Sí, se mueve", "es", True),
        ("नहीं, वह नहीं चलता।", "hi", False),
        ("هل؟ نعم", "ar", True),
        ("いいえ、動きません。", "ja", False),
        ("Ja.", "de-AT", True),
        ("", "en", None),
    ],
)
def test_yes_and_no(text: str, language: str, verdict: bool | None) -> None:
    assert verdict_of(text, language) is verdict


def test_yes_and_no_are_known_in_many_languages() -> None:
    assert len(LANGUAGES) >= 20


def test_a_model_that_always_says_yes_is_seen() -> None:
    right = ["Yes.", "No.", "No.", "No."]
    answers = [record("Yes.", "en", number=n, reference=r) for n, r in enumerate(right)]
    answers += [
        record("Perhaps", "en", number=9, reference="No."),
        record("x", "en", number=10, reference="x"),
    ]
    found = yes_bias(answers)["overall"]
    assert (found["answers"]["score"], found["references"]["score"], found["neither"]) == (100.0, 25.0, 1)


def test_questions_about_one_clip_are_not_independent() -> None:
    rng = np.random.default_rng(0)
    of_clip = rng.integers(0, 2, 40)
    values = np.repeat(of_clip, 10).astype(float).tolist()
    clips = np.repeat([str(n) for n in range(40)], 10).tolist()
    alone = bootstrap_interval(values, [str(n) for n in range(400)])
    together = bootstrap_interval(values, clips)
    assert together[1] - together[0] > 2.5 * (alone[1] - alone[0])  # sqrt(10) times
    assert bootstrap_interval(values, clips) == together


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        rates = rng.beta(2, 2, 60)  # clips are of different hardness; the mean is 0.5
        values = (rng.random((60, 5)) < rates[:, None]).astype(float).ravel().tolist()
        low, high = bootstrap_interval(values, np.repeat(np.arange(60), 5).astype(str).tolist())
        hits += low <= 0.5 <= high
    assert 0.90 <= hits / 200 <= 0.99


def test_where_all_clips_are_alike_the_interval_still_has_a_width() -> None:
    leaf = leaf_of([1.0] * 20, [str(n // 2) for n in range(20)])
    assert leaf["interval"] == list(wilson_interval([1.0] * 10))


def test_where_clips_agree_on_values_between_no_interval_is_told() -> None:
    clips = [str(n) for n in range(6)]
    assert leaf_of([0.3] * 6, clips, is_right_or_wrong=False)["interval"] is None
    assert leaf_of([0.1 + 0.2, 0.3, 0.3], clips[:3], is_right_or_wrong=False)["interval"] is None
    assert leaf_of([4.0] * 6, clips, is_share=False) == {"score": 4.0, "count": 6, "interval": None}
    low, high = leaf_of([0.2, 0.3, 0.4], clips[:3], is_right_or_wrong=False)["interval"]
    assert 20 <= low < high <= 40


def test_an_overlap_of_words_gets_no_interval_of_counts(tmp_path: Path) -> None:
    def told(task: str, number: int, value: float) -> AnswerRecord:
        name = f"{task}{number}"
        return AnswerRecord("", "b", name, clip=name, task=task, language="en", scores={"rouge_l": value})

    zeros = [told("hard", n, 0.0) for n in range(4)]
    report = make_report([*zeros, *(told("soft", n, n / 10) for n in range(4))], Metric("rouge_l"))
    assert report["tasks"]["hard"]["interval"] is None  # Wilson's would say 0 to 49
    assert report["tasks"]["soft"]["interval"] is not None
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in as_table(report).splitlines()[2:4]}
    assert [cell.strip() for cell in rows["hard"]] == ["0.0", "0.0", "", "4"]
    draw_report(report, tmp_path / "scores.png", title="")
    assert (tmp_path / "scores.png").stat().st_size > 0
    right_or_wrong = make_report([*zeros, told("soft", 0, 1.0)], Metric("rouge_l"))
    assert right_or_wrong["tasks"]["hard"]["interval"] == list(wilson_interval([0.0] * 4))


def test_a_metric_that_is_no_share_keeps_its_unit() -> None:
    answers = [
        AnswerRecord("", "b", str(n), clip=str(n), task="t", scores={"score": n, "accuracy": n / 5})
        for n in range(6)
    ]
    report = make_report(answers, Metric("score", 0, 5, is_share=False))
    assert report["overall"]["score"] == 2.5
    assert 1 < report["overall"]["interval"][0] < 2.5 < report["overall"]["interval"][1] < 4
    assert make_report(answers, Metric("accuracy"))["overall"]["score"] == 50.0
