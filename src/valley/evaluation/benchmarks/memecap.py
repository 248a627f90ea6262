"""MemeCap: say what the poster of a meme wants to say; by overlap with what people wrote.

`memes-test.json`, as its authors publish it; the picture is memes/memes_d079np.png::

    {"category": "memes", "img_captions": ["A couple poses ..."],
     "meme_captions": ["Husband feels ...", "..."], "title": "He did it",
     "url": "https://i.redd.it/dkfj1vnjhuk31.jpg", "img_fname": "memes_d079np.png",
     "metaphors": [{"metaphor": "A woman", "meaning": "Meme poster"}], "post_id": "d079np"}

The words are those of the paper (figure 4), without the text in the picture, which annotations do not hold.
ROUGE-L (rouge-score) and BLEU-4 of a sentence (sacrebleu) are each the best over the captions that people
wrote; the paper reports BLEU over the whole set, and BERTScore as well, so its numbers are other numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from valley.conversation import Conversation, Image, user
from valley.errors import MissingExtraError
from valley.evaluation.annotations import PICTURE_SUFFIXES, DataFolder, check_level, in_order, open_data
from valley.evaluation.benchmark import Benchmark, DataFile, DataSource, Item, Metric, Selection

ANNOTATIONS = "memes-test.json"
TITLE = 'This is a meme with the title "{title}". '
DESCRIPTION = 'The image description is "{description}". '
QUESTION = "What is the meme poster trying to convey? Answer:"


class MemeCap:
    """The benchmark; its levels give the model more or less beside the picture."""

    levels: tuple[str, ...] = ("title", "picture_alone", "title_and_description")
    metrics: tuple[Metric, ...] = (Metric("rouge_l"), Metric("bleu"))
    needs_judge: bool = False
    source: DataSource | None = DataSource(
        title="MemeCap",
        homepage="https://github.com/eujhwang/meme-cap",
        citation="E. Hwang and V. Shwartz, MemeCap: A Dataset for Captioning and Interpreting Memes, "
        "EMNLP 2023",
        licence="not stated by the authors; the pictures were posted on Reddit",
        files=(
            DataFile(
                ANNOTATIONS,
                "https://github.com/eujhwang/meme-cap/blob/main/data/memes-test.json",
                "titles, captions and metaphors (paper, table 1)",
                559,
            ),
            DataFile(
                "memes",
                "https://drive.google.com/file/d/1o1IB6am0HdYS58CEOmmxra3WjJkrn-M1/view",
                "pictures; those that the test file names are enough",
                559,
            ),
        ),
    )

    def items(self, folder: Path, selection: Selection) -> list[Item]:
        """List the memes; see `Benchmark.items`."""
        del folder
        level = check_level(selection.level, self.levels)
        return in_order(_read(open_data("memecap", selection), level), selection.limit)

    def score(self, item: Item, answer: str) -> Mapping[str, float]:
        """Score by overlap with the nearest of the captions that people wrote.

        Raises:
            MissingExtraError: rouge-score or sacrebleu is absent.
        """
        wanted = item.references or (item.reference,)
        rouge, bleu = _scorers()
        return {
            "rouge_l": max(float(rouge.score(one, answer)["rougeL"].fmeasure) for one in wanted),
            "bleu": max(min(1.0, bleu.sentence_score(answer, [one]).score / 100) for one in wanted),
        }

    def has_refused(self, item: Item, answer: str) -> bool:
        """Tell nothing: a refusal overlaps with no caption."""
        del item, answer
        return False


@cache
def _scorers() -> tuple[Any, Any]:
    try:
        from rouge_score.rouge_scorer import RougeScorer
        from sacrebleu.metrics.bleu import BLEU
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            wanted_by="scoring captions", package="rouge-score and sacrebleu", extra="eval"
        ) from error
    # Short captions have no words four in a row: only the orders that they have are counted.
    return RougeScorer(["rougeL"], use_stemmer=True), BLEU(effective_order=True)


def _read(data: DataFolder, level: str) -> Iterator[Item]:
    for row in data.rows(ANNOTATIONS, f"data/{ANNOTATIONS}"):
        name, captions = row.text("post_id"), row.texts("meme_captions")
        prompt = QUESTION
        if level == "title_and_description":
            prompt = DESCRIPTION.format(description=row.texts("img_captions")[0]) + prompt
        if level != "picture_alone":
            prompt = TITLE.format(title=row.text("title")) + prompt
        picture = Image(data.medium("memes", row.text("img_fname"), suffixes=PICTURE_SUFFIXES))
        yield Item(
            id=name,
            variant="normal",
            task="meme",
            language="en",
            tags=(),
            conversation=Conversation((user(picture, prompt),), "en", name),
            reference=captions[0],
            rule="overlap",
            clip=name,
            references=captions,
        )


BENCHMARK: Benchmark = MemeCap()
