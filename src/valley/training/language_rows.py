"""Rows of the language lesson: one clip, given as numbers, and many questions behind it.

The tokens are those of the processor's prompt, so that what is learned here is what will be asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerFast

from valley.model.composing_valley import CHAT_TOKENS
from valley.model.visual_layout import VISUAL_TOKENS
from valley.synthetic.questions import Question
from valley.synthetic.stream import Drawn, SampleStream, ask, draw_task, told_language
from valley.synthetic.world import COLORS, LANGUAGES
from valley.training.frame_labels import (
    BACKGROUND_WIDTH,
    FRAME_WIDTH,
    PATCH_WIDTH,
    class_numbers,
    frame_labels,
    object_numbers,
    patch_numbers,
)
from valley.training.language_facts import (
    ANSWER_FACTS,
    IGNORED,
    QUESTION_FACTS,
    answer_facts,
    frame_facts,
    history_facts,
    question_facts,
    told_objects,
)
from valley.training.language_recipe import LONGEST_S, LanguageConfig

SLOT_NOISE = np.array([0, 0.01, 0.01, 0.003, 0.05, 0.05], np.float32)
"""About what a trained tower's numbers are off by."""


class Dialogues(Dataset[dict[str, Any]]):
    """Questions about clips, each clip given as numbers instead of pixels."""

    def __init__(self, config: LanguageConfig, tokenizer: PreTrainedTokenizerFast) -> None:
        """Remember the recipe; item i is drawn from the seed and i alone."""
        self.config = config
        self.tokenizer = tokenizer
        self.num_items = config.max_steps * config.batch_size
        names = (*CHAT_TOKENS, *VISUAL_TOKENS.values())
        self.ids: dict[str, int] = dict(zip(names, tokenizer.encode("".join(names)), strict=True))
        self.time_ids: dict[str, list[int]] = {}
        tenths = (f"{tenth / 10:.1f}" for tenth in range(10 * LONGEST_S))
        self.times = {token for words in tenths for token in tokenizer.encode(words)}

    def stream(self, index: int) -> SampleStream:
        """Give the stream from which item `index` comes: English first, and simple scenes first."""
        config, done = self.config, index / self.num_items
        return SampleStream(
            "instructions",
            seed=config.seed + 1,
            languages=LANGUAGES[:1] if done < config.english_until else LANGUAGES,
            rich_share=0.0 if done < config.rich_from else config.rich_share,
        )

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Draw item `index`.

        Returns:
            `ids` i64[token], where visual token n (the patches, then the frames) is written as -1 - n;
            `segments` i64[token], 0 where all see it, else the number of the question; `labels` and
            `weights` [token]; `patches` f32[frame color number] and `frames` f32[frame number];
            `history` i64[color shot fact] and `frame_facts` i64[frame fact]; `answer_starts` i64[question],
            the tokens whose successors begin the answers; `facts` and `answer_facts` i64[question fact];
            `told_places` i64[object], the tokens whose successors begin to tell of an object, and `told`
            i64[object fact]; `tasks`, the questions' names.
        """
        stream, rng = self.stream(index), np.random.default_rng([self.config.seed, 3, index])
        if rng.random() < self.config.dialogue_share:
            drawn = stream.draw(index)
            row = self._begin(drawn)
            for number, question in enumerate(drawn.asked):
                self._add(row, question, drawn, segment=1, opens_turn=number > 0)
        else:
            drawn = stream.look(index, rng)
            row = self._begin(drawn)
            wanted, segment = len(row["ids"]) + self.config.tokens_per_clip, 0
            while len(row["ids"]) < wanted:
                language = stream.languages[int(rng.integers(len(stream.languages)))]
                question = ask(drawn, draw_task(drawn, rng), language, rng)
                if question is not None:
                    segment += 1
                    self._add(row, question, drawn, segment=segment, opens_turn=False)
        return self._tensors(row, drawn, rng)

    def _begin(self, drawn: Drawn) -> dict[str, list[Any]]:
        ids = [self.tokenizer.bos_token_id]
        told = told_language(drawn)
        if told is not None:
            ids += [self.ids["<|system|>"], *self.tokenizer.encode(told), self.ids["<|end|>"]]
        ids.append(self.ids["<|user|>"])
        if drawn.times_s:
            ids += self._visual_ids(drawn)
        count = len(ids)
        return {
            "ids": ids,
            "segments": [0] * count,
            "labels": [IGNORED] * count,
            "weights": [0.0] * count,
            "answer_starts": [],
            "facts": [],
            "answer_facts": [],
            "told_places": [],
            "told": [],
            "tasks": [],
        }

    def _visual_ids(self, drawn: Drawn) -> list[int]:
        num_patches = self.config.num_patches
        ids = [self.ids["<im_start>"], *(-1 - n for n in range(num_patches)), self.ids["<im_end>"]]
        ids.append(self.ids["<vi_start>"])
        for number, time_s in enumerate(drawn.times_s):
            if not drawn.is_picture:
                ids += self._time_ids(time_s)
            ids.append(-1 - num_patches - number)
        return [*ids, self.ids["<vi_end>"]]

    def _time_ids(self, time_s: float) -> list[int]:
        words = f"{np.float32(time_s):.1f}s"
        if words not in self.time_ids:
            self.time_ids[words] = self.tokenizer.encode(words)
        return self.time_ids[words]

    def _add(
        self, row: dict[str, list[Any]], question: Question, drawn: Drawn, *, segment: int, opens_turn: bool
    ) -> None:
        encoded = self.tokenizer.backend_tokenizer.encode_batch(
            [question.text, question.answer], add_special_tokens=False
        )
        asked, answer = ([*e.ids, self.ids["<|end|>"]] for e in encoded)
        before = [self.ids["<|user|>"]] * opens_turn + asked + [self.ids["<|assistant|>"]]
        weights = [1.0] * len(answer)
        decisive = self.config.decisive_weight
        if question.verdict is not None:
            weights[-3:] = [decisive] * 3
        elif question.at_s is not None or question.compares:
            weights = [decisive if token in self.times else 1.0 for token in answer]
        row["ids"] += before + answer
        row["segments"] += [segment] * (len(before) + len(answer))
        row["labels"] += [IGNORED] * len(before) + answer
        row["weights"] += [0.0] * len(before) + weights
        row["answer_starts"].append(len(row["ids"]) - len(answer) - 1)
        row["facts"].append(question_facts(question, drawn))
        row["answer_facts"].append(answer_facts(question, drawn))
        for character, facts in told_objects(question, drawn):
            row["told_places"].append(row["answer_starts"][-1] + encoded[1].char_to_token(character))
            row["told"].append(facts)
        row["tasks"].append(question.task)

    def _tensors(self, row: dict[str, list[Any]], drawn: Drawn, rng: np.random.Generator) -> dict[str, Any]:
        patches, frames = _numbers(drawn, rng)
        return {
            **{n: torch.tensor(row[n]) for n in ("ids", "segments", "labels")},
            "weights": torch.tensor(row["weights"], dtype=torch.float32),
            "answer_starts": torch.tensor(row["answer_starts"], dtype=torch.long),
            "facts": torch.tensor(row["facts"], dtype=torch.long).reshape(-1, len(QUESTION_FACTS)),
            "answer_facts": torch.tensor(row["answer_facts"], dtype=torch.long).reshape(
                -1, len(ANSWER_FACTS)
            ),
            "told_places": torch.tensor(row["told_places"], dtype=torch.long),
            "told": torch.tensor(row["told"], dtype=torch.long).reshape(-1, len(QUESTION_FACTS)),
            "tasks": row["tasks"],
            "patches": torch.from_numpy(patches),
            "frames": torch.from_numpy(frames),
            "history": torch.from_numpy(history_facts(drawn)),
            "frame_facts": torch.from_numpy(frame_facts(drawn)),
        }


def _numbers(drawn: Drawn, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Give what a tower would tell of each frame: f32[frame color number] and f32[frame number]."""
    count = len(drawn.times_s)
    if drawn.scene is None:
        return _foreign_numbers(count, rng)
    patches = np.zeros((count, len(COLORS), PATCH_WIDTH), np.float32)
    frames = np.zeros((count, FRAME_WIDTH), np.float32)
    for k, time_s in enumerate(drawn.times_s):
        labels = frame_labels(drawn.scene, time_s, grid=1)
        noise = rng.standard_normal(labels["slots"].shape, np.float32) * SLOT_NOISE
        objects = object_numbers(labels["slots"], labels["shapes"], noise)
        patches[k] = patch_numbers(objects, labels["background"], 0.0)
        frames[k] = class_numbers(objects, labels["background"], 0.0)
    return patches, frames


def _foreign_numbers(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Give numbers for frames of another world, or of nothing; what a tower makes of them is open."""
    background = rng.uniform(0, 2, BACKGROUND_WIDTH).astype(np.float32)
    nothing = np.zeros((len(COLORS), PATCH_WIDTH - BACKGROUND_WIDTH - 1 - len(COLORS)), np.float32)
    is_foreign = float(rng.random() < 0.85)
    patches = np.tile(patch_numbers(nothing, background, is_foreign), (count, 1, 1))
    frames = np.tile(class_numbers(nothing, background, is_foreign), (count, 1))
    if is_foreign:
        loud = rng.uniform(0.1, 0.6)
        told = (
            PATCH_WIDTH - len(COLORS) - 1
        )  # which colour a token tells of, and whether it is foreign, is sure
        patches[..., :told] += rng.normal(0, loud, patches[..., :told].shape)
        frames[:, :-1] += rng.normal(0, loud, frames[:, :-1].shape)
    return patches, frames


def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Pad rows into a batch; places become (row, token) pairs, `num_frames` counts real frames."""
    fills = {"ids": 0, "segments": -1, "labels": IGNORED, "weights": 0.0}
    fills |= {"patches": 0.0, "frames": 0.0, "frame_facts": IGNORED}
    batch: dict[str, Any] = {
        name: pad_sequence([r[name] for r in rows], batch_first=True, padding_value=fill)
        for name, fill in fills.items()
    }
    for name in ("answer_starts", "told_places"):
        places = [r[name] for r in rows]
        batch[name] = torch.cat([torch.stack([torch.full_like(p, i), p], 1) for i, p in enumerate(places)])
    batch["num_frames"] = torch.tensor([len(r["frames"]) for r in rows])
    batch["history"] = torch.stack([r["history"] for r in rows])
    for name in ("facts", "answer_facts", "told"):
        batch[name] = torch.cat([r[name] for r in rows])
    batch["tasks"] = [task for r in rows for task in r["tasks"]]
    return batch


def packed_mask(segments: Tensor) -> Tensor:
    """Let each question see the clip and itself, and no token what comes later.

    Args:
        segments: i64[batch token], 0 for what all see, -1 for padding.

    Returns:
        f32[batch 1 token token], to be added to attention scores: 0 where the token (third axis) may see
        the other one (fourth).
    """
    asks, told = segments[:, :, None], segments[:, None, :]
    earlier = torch.ones(segments.shape[1], segments.shape[1], dtype=torch.bool).tril()
    itself = torch.eye(segments.shape[1], dtype=torch.bool)  # padding sees itself, or its row would be empty
    seen = (((told == 0) | (told == asks)) & (told >= 0) & earlier) | itself
    return torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]


def packed_positions(segments: Tensor) -> Tensor:
    """Number tokens i64[batch token] so that every question follows the clip directly."""
    places = torch.arange(segments.shape[1]).expand_as(segments)
    starts = torch.zeros_like(segments)
    starts[:, 1:] = torch.where(segments[:, 1:] != segments[:, :-1], places[:, 1:], 0)
    starts = starts.cummax(1).values
    prefix = (segments == 0).sum(1, keepdim=True)
    return torch.where(segments == 0, places, places - starts + prefix)
