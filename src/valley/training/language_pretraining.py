"""Teaches a small language model the synthetic world's English, Chinese and Spanish, from nothing.

It learns to converse about clips before it ever sees a pixel: in place of each frame's class token stands a
linear image of what the frame shows, as numbers (per colour: presence, position, radius, turn, shape). That
costs no rendering and no vision tower. Many questions about a clip share one look at it: each sees the clip
and itself, not the others. Three heads on the hidden states speed the lesson up: at each frame one says how
far every object went since the frame before, at each shot's last frame one says what every object did, and
where an answer begins one looks up the object that the question is about. The linear map and the heads are
thrown away; what is kept is a plain `LlamaForCausalLM` and its tokenizer. The projector that brings real
frames into its space is trained afterwards, in stage 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field, PositiveInt
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from valley.model.composing_valley import CHAT_TOKENS, END_TOKEN, PAD_TOKEN
from valley.synthetic.questions import Question
from valley.synthetic.scene import Scene
from valley.synthetic.stream import MOST_FRAMES, Drawn, SampleStream, ask, draw_task, told_language
from valley.synthetic.truth import ObjectTruth
from valley.synthetic.world import COLORS, DIRECTIONS, EVENTS, LANGUAGES, SHAPES, SIZES
from valley.training.lessons import LessonConfig, LessonResult, begin, finish, teach
from valley.training.progress import OnEvent, ignore_event
from valley.training.vision_pretraining import BACKGROUND_WIDTH, SLOT_WIDTH, frame_labels

END_OF_TEXT = "<|endoftext|>"
IGNORED = -100
FRAME_WIDTH = len(COLORS) * (SLOT_WIDTH + len(SHAPES)) + BACKGROUND_WIDTH + 1
"""Numbers that stand for one frame: the colour slots, the background, and whether it is of another world."""

SLOT_NOISE = np.array([0, 0.01, 0.01, 0.003, 0.05, 0.05], np.float32)
"""About what a trained tower's class token is off by."""

SLOT_CENTER = np.array([0, 0.5, 0.5, 0.14, 0, 0], np.float32)
SLOT_SCALE = np.array([1, 5, 5, 15, 1, 1], np.float32)
"""Small differences of place and radius carry all motion: they must not drown in what is there or not."""

# Without the first split, merges swallow whole Chinese clauses, one of which holds two facts; the second
# keeps a time such as 1.4 in one piece.
_HAN = Regex("[\\u3400-\\u9fff]")
_TIME = Regex("[0-9]+[.][0-9]")
_LONGEST_S = 13
"""Times up to here get a token of their own."""

# What the look-up head says of the object a question is about, and of the time it asks for.
_FACTS: dict[str, dict[Any, int]] = {
    name: {value: number for number, value in enumerate(values)}
    for name, values in {
        "color": COLORS,
        "shape": SHAPES,
        "size": SIZES,
        "event": EVENTS,
        "direction": DIRECTIONS,
        "to_color": COLORS,
        "partner_color": COLORS,
        "partner_shape": SHAPES,
        "shot": range(3),
        "frame": range(MOST_FRAMES),
        "foreign": (False, True),
    }.items()
}
_FACT_WIDTHS = [len(values) for values in _FACTS.values()]

# What the event head says of each colour in a shot.
_HISTORY: dict[str, dict[Any, int]] = {
    "event": {value: number for number, value in enumerate((*EVENTS, None))},  # None: no such object
    **{name: _FACTS[name] for name in ("direction", "to_color", "partner_color", "shape", "size", "frame")},
}
_HISTORY_WIDTHS = [len(values) for values in _HISTORY.values()]
_ABSENT_WEIGHT = 0.1
"""Most colours are not in a shot, which is soon known; what the others do must not drown in that."""


class LanguageConfig(LessonConfig):
    """Recipe of the language model."""

    stage: Literal["language"]
    vocab_size: PositiveInt = 2000
    tokenizer_dialogues: PositiveInt = 6000
    hidden_size: PositiveInt = 128
    intermediate_size: PositiveInt = 512
    num_layers: PositiveInt = 6
    num_heads: PositiveInt = 4
    max_position_embeddings: PositiveInt = 4096
    # The layers whose hidden states the heads read.
    motion_layer: PositiveInt = 2
    event_layer: PositiveInt = 3
    look_up_layer: PositiveInt = 5
    motion_weight: float = 15.0
    event_weight: float = 0.5
    look_up_weight: float = 0.5
    # A verdict is one bit after many words: its tokens count for more.
    verdict_weight: float = 3.0
    # Words of questions and answers behind one look at a clip, about.
    tokens_per_clip: PositiveInt = 150
    # Of the samples, whole dialogues instead of questions that do not see each other.
    dialogue_share: float = 0.2
    # English alone until this share of the run; rich scenes from this share on.
    english_until: float = Field(default=0.1, ge=0, le=1)
    rich_from: float = Field(default=0.4, ge=0, le=1)
    rich_share: float = Field(default=0.4, ge=0, le=1)


def make_tokenizer(config: LanguageConfig) -> PreTrainedTokenizerFast:
    """Train the byte-level BPE tokenizer; it can spell any text of any language."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.Split(_HAN, "isolated"),
            pre_tokenizers.Split(_TIME, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[END_OF_TEXT, PAD_TOKEN, *CHAT_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(config), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_TOKEN,
        pad_token=PAD_TOKEN,
        clean_up_tokenization_spaces=False,
    )


def _texts(config: LanguageConfig) -> Iterable[str]:
    stream = SampleStream("instructions", seed=config.seed, rich_share=config.rich_share)
    for i in range(config.tokenizer_dialogues):
        for message in stream.conversation(i).messages:
            yield message.text
    for tenth in range(10 * _LONGEST_S):
        yield from [f"{tenth / 10:.1f}s"] * 200


def make_language_model(config: LanguageConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Make an untrained Llama for the tokenizer."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_heads,
            max_position_embeddings=config.max_position_embeddings,
            tie_word_embeddings=True,
            initializer_range=0.05,
            **{f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("bos", "eos", "pad")},
        )
    )


class Dialogues(Dataset[dict[str, Any]]):
    """Questions about clips, each clip given as numbers instead of pixels."""

    def __init__(self, config: LanguageConfig, tokenizer: PreTrainedTokenizerFast) -> None:
        """Remember the recipe; item i is drawn from the seed and i alone."""
        self.config = config
        self.tokenizer = tokenizer
        self.num_items = config.max_steps * config.batch_size
        self.ids: dict[str, int] = dict(zip(CHAT_TOKENS, tokenizer.encode("".join(CHAT_TOKENS)), strict=True))
        self.time_ids: dict[str, list[int]] = {}

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
            `ids` i64[token], where frame k of the clip is written as -1 - k; `segments` i64[token], 0 where
            all see it, else the number of the question; `labels` and `weights` [token]; `slots` f32[frame
            number]; `history` i64[shot color fact] and `shot_ends` i64[shot], the tokens of the shots' last
            frames; `answer_starts` i64[question], the tokens whose successors begin the answers; `facts`
            i64[question fact]; `tasks`, the questions' names.
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
            language = stream.languages[int(rng.integers(len(stream.languages)))]
            segment = 0
            while len(row["ids"]) < self.config.tokens_per_clip:
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
        for number, time_s in enumerate(drawn.times_s):
            if not drawn.is_picture:
                ids += self._time_ids(time_s)
            ids.append(-1 - number)
        count = len(ids)
        return {
            "ids": ids,
            "segments": [0] * count,
            "labels": [IGNORED] * count,
            "weights": [0.0] * count,
            "answer_starts": [],
            "facts": [],
            "tasks": [],
        }

    def _time_ids(self, time_s: float) -> list[int]:
        words = f"{np.float32(time_s):.1f}s"
        if words not in self.time_ids:
            self.time_ids[words] = self.tokenizer.encode(words)
        return self.time_ids[words]

    def _add(
        self, row: dict[str, list[Any]], question: Question, drawn: Drawn, *, segment: int, opens_turn: bool
    ) -> None:
        encoded = self.tokenizer.backend_tokenizer.encode_batch_fast(
            [question.text, question.answer], add_special_tokens=False
        )
        asked, answer = ([*e.ids, self.ids["<|end|>"]] for e in encoded)
        before = [self.ids["<|user|>"]] * opens_turn + asked + [self.ids["<|assistant|>"]]
        weights = [1.0] * len(answer)
        if question.verdict is not None:
            weights[-3:] = [self.config.verdict_weight] * 3
        row["ids"] += before + answer
        row["segments"] += [segment] * (len(before) + len(answer))
        row["labels"] += [IGNORED] * len(before) + answer
        row["weights"] += [0.0] * len(before) + weights
        row["answer_starts"].append(len(row["ids"]) - len(answer) - 1)
        row["facts"].append(_facts(question, drawn))
        row["tasks"].append(question.task)

    def _tensors(self, row: dict[str, list[Any]], drawn: Drawn, rng: np.random.Generator) -> dict[str, Any]:
        last_frames, history = _history(drawn)
        slots = _slots(drawn, rng)
        return {
            **{n: torch.tensor(row[n]) for n in ("ids", "segments", "labels")},
            "weights": torch.tensor(row["weights"], dtype=torch.float32),
            "answer_starts": torch.tensor(row["answer_starts"], dtype=torch.long),
            "facts": torch.tensor(row["facts"], dtype=torch.long).reshape(-1, len(_FACTS)),
            "tasks": row["tasks"],
            "slots": torch.from_numpy(slots),
            "motion": torch.from_numpy(_motion(drawn, slots)),
            "history": torch.from_numpy(history),
            "shot_ends": torch.tensor([row["ids"].index(-1 - k) for k in last_frames], dtype=torch.long),
        }


def _slots(drawn: Drawn, rng: np.random.Generator) -> np.ndarray:
    rows = np.zeros((len(drawn.times_s), FRAME_WIDTH), np.float32)
    if drawn.scene is not None:
        for row, time_s in zip(rows, drawn.times_s, strict=True):
            row[:-1] = _frame_slots(drawn.scene, time_s, rng)
    elif drawn.truth is not None:  # of another world, or nothing to be seen
        rows[:, -1 - BACKGROUND_WIDTH : -1] = rng.uniform(0, 2, BACKGROUND_WIDTH)
        if rng.random() < 0.85:  # nothing else is known of what a tower makes of it
            rows[:, :-1] += rng.normal(0, rng.uniform(0.1, 0.6), rows[:, :-1].shape)
            rows[:, -1] = 1
    return rows


def _motion(drawn: Drawn, slots: np.ndarray) -> np.ndarray:
    """Give how far each colour went since the frame before, and how much it grew: f32[frame color 3].

    NaN where it was not there in both frames, and where a cut lies between them.
    """
    motion = np.full((len(slots), len(COLORS), 3), np.nan, np.float32)
    if drawn.scene is None:
        return motion
    colors = slots[:, : len(COLORS) * (SLOT_WIDTH + len(SHAPES))].reshape(len(slots), len(COLORS), -1)
    shots = [drawn.scene.shot_number_at(time_s)[0] for time_s in drawn.times_s]
    for number in range(1, len(slots)):
        stays = (colors[number, :, 0] > 0) & (colors[number - 1, :, 0] > 0)
        if shots[number] == shots[number - 1]:
            motion[number, stays] = (colors[number] - colors[number - 1])[stays, 1:4]
    return motion


def _frame_slots(scene: Scene, time_s: float, rng: np.random.Generator) -> np.ndarray:
    labels = frame_labels(scene, time_s, grid=1)
    slots = labels["slots"]
    noise = rng.standard_normal(slots.shape, np.float32) * SLOT_NOISE
    slots = slots[:, :1] * (slots + noise - SLOT_CENTER) * SLOT_SCALE
    shapes = np.equal(labels["shapes"][:, None], np.arange(len(SHAPES)))
    return np.concatenate([np.concatenate([slots, shapes], axis=1).ravel(), labels["background"]])


def _nearest_frame(drawn: Drawn, time_s: float) -> int:
    return min(range(len(drawn.times_s)), key=lambda k: abs(drawn.times_s[k] - time_s))


def _history(drawn: Drawn) -> tuple[list[int], np.ndarray]:
    """Give the last frame of each shot, and what every colour did in it: i64[shot color fact]."""
    truth = drawn.truth
    if truth is None or truth.foreign or truth.is_image:
        return [], np.zeros((0, len(COLORS), len(_HISTORY)), np.int64)
    last_frames = []
    history = np.full((len(truth.shots), len(COLORS), len(_HISTORY)), IGNORED, np.int64)
    history[:, :, 0] = len(EVENTS)
    for number, shot in enumerate(truth.shots):
        last_frames.append(max(k for k, t in enumerate(drawn.times_s) if t < shot.end_s))
        for item in shot.objects:
            history[number, _FACTS["color"][item.color]] = _told_of(item, item.start_s, drawn, _HISTORY)
    return last_frames, history


def _facts(question: Question, drawn: Drawn) -> list[int]:
    told = [IGNORED] * len(_FACTS)
    if question.about is not None:
        told = _told_of(question.about, question.at_s, drawn, _FACTS)
    elif question.at_s is not None:
        told[list(_FACTS).index("frame")] = _nearest_frame(drawn, question.at_s)
    if drawn.truth is not None:
        told[-1] = int(drawn.truth.foreign)
    if drawn.truth is not None and drawn.truth.is_image:
        told[list(_FACTS).index("event")] = told[list(_FACTS).index("shot")] = IGNORED
    return told


def _told_of(
    item: ObjectTruth, at_s: float | None, drawn: Drawn, kinds: dict[str, dict[Any, int]]
) -> list[int]:
    """Number what is known of an object; -100 where nothing is."""
    known: dict[str, Any] = {
        "color": item.color,
        "shape": item.shape,
        "size": item.size,
        "event": item.event,
        "direction": item.direction,
        "to_color": item.to_color,
        "partner_color": item.partner and item.partner[0],
        "partner_shape": item.partner and item.partner[1],
        "shot": item.shot,
        "frame": None if at_s is None else _nearest_frame(drawn, at_s),
        "foreign": False,
    }
    return [IGNORED if known[name] is None else values[known[name]] for name, values in kinds.items()]


def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Pad rows into a batch; `answer_starts` and `shot_ends` become (row, token) pairs."""
    batch: dict[str, Any] = {
        name: pad_sequence([r[name] for r in rows], batch_first=True, padding_value=fill)
        for name, fill in {"ids": 0, "segments": -1, "labels": IGNORED, "weights": 0.0, "slots": 0.0}.items()
    }
    for name in ("answer_starts", "shot_ends"):
        pairs = [torch.stack([torch.full_like(r[name], i), r[name]], 1) for i, r in enumerate(rows)]
        batch[name] = torch.cat(pairs)
    batch["motion"] = pad_sequence([r["motion"] for r in rows], batch_first=True, padding_value=torch.nan)
    batch["facts"] = torch.cat([r["facts"] for r in rows])
    batch["history"] = torch.cat([r["history"] for r in rows])
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


class LanguageLesson(nn.Module):
    """The language model with the map and the heads that only serve to teach it."""

    def __init__(self, config: LanguageConfig, tokenizer: PreTrainedTokenizerFast) -> None:
        """Make everything untrained."""
        super().__init__()
        self.config = config
        self.language_model = make_language_model(config, tokenizer)
        self.language_model.set_attn_implementation("eager")  # on a CPU the faster one for short rows
        dim = config.hidden_size
        self.see = nn.Linear(FRAME_WIDTH, dim)
        self.motion_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, len(COLORS) * 3))
        self.event_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, len(COLORS) * sum(_HISTORY_WIDTHS)))
        self.look_up_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, sum(_FACT_WIDTHS)))
        self.measures: dict[str, list[float]] = {}

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Give the losses: next words, how things moved, what each did, what the question is about."""
        ids, segments = batch["ids"], batch["segments"]
        embeds = self.language_model.get_input_embeddings()(ids.clamp(min=0))
        rows, places = (ids < 0).nonzero(as_tuple=True)
        embeds = embeds.index_put((rows, places), self.see(batch["slots"][rows, -1 - ids[rows, places]]))
        out = self.language_model.model(
            inputs_embeds=embeds,
            attention_mask=packed_mask(segments),
            position_ids=packed_positions(segments),
            output_hidden_states=True,
            use_cache=False,
        )
        said = batch["labels"][:, 1:] != IGNORED
        logits = self.language_model.lm_head(out.last_hidden_state[:, :-1][said])
        labels, weights = batch["labels"][:, 1:][said], batch["weights"][:, 1:][said]
        words = F.cross_entropy(logits, labels, reduction="none")
        self._measure(logits.detach().argmax(-1) == labels, said, batch)
        hidden = out.hidden_states
        moved = self.motion_head(hidden[self.config.motion_layer][rows, places]).unflatten(-1, (-1, 3))
        motion = batch["motion"][rows, -1 - ids[rows, places]]
        known = ~motion.isnan()
        told = self.event_head(hidden[self.config.event_layer][batch["shot_ends"].unbind(1)])
        looked_up = self.look_up_head(hidden[self.config.look_up_layer][batch["answer_starts"].unbind(1)])
        return {
            "words": (words * weights).sum() / weights.sum(),
            "motion": self.config.motion_weight
            * F.smooth_l1_loss(moved[known], motion[known], reduction="sum")
            / known.sum().clamp(min=1),
            "events": self.config.event_weight
            * _facts_loss(told.unflatten(-1, (len(COLORS), -1)), batch["history"], _HISTORY),
            "look_up": self.config.look_up_weight * _facts_loss(looked_up, batch["facts"], _FACTS),
        }

    def _measure(self, right: Tensor, said: Tensor, batch: dict[str, Any]) -> None:
        """Tally which answers are right to the last token: no clip comes twice, so this is no memory."""
        wrong = torch.zeros(said.shape, dtype=torch.long)
        wrong[said] = (~right).long()
        before = wrong.flatten().cumsum(0)
        labelled = torch.cat([said, torch.zeros(len(said), 1, dtype=torch.bool)], 1)
        for (row, start), task in zip(batch["answer_starts"].tolist(), batch["tasks"], strict=True):
            stop = start
            while labelled[row, stop]:
                stop += 1
            first = row * said.shape[1] + start
            errors = before[first + stop - start - 1] - (before[first - 1] if first else 0)
            self.measures.setdefault(task, []).append(float(errors == 0))


def _facts_loss(logits: Tensor, labels: Tensor, kinds: Mapping[str, Mapping[Any, int]]) -> Tensor:
    """Sum the cross entropies of the facts; logits [... width], labels [... fact], -100 where unknown."""
    widths = [len(values) for values in kinds.values()]
    losses = [
        _known_loss(read, fact, absent=values.get(None))
        for read, fact, values in zip(
            logits.split(widths, dim=-1), labels.unbind(-1), kinds.values(), strict=True
        )
    ]
    return torch.stack(losses).sum()


def _known_loss(logits: Tensor, labels: Tensor, *, absent: int | None) -> Tensor:
    """Cross entropy over the labels that are known, 0 where none is; the label `absent` counts less."""
    weights = (labels != IGNORED).float()
    if absent is not None:
        weights = torch.where(labels == absent, _ABSENT_WEIGHT, weights)
    losses = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none")
    return (losses * weights.flatten()).sum() / weights.sum().clamp(min=1)


def train_language(
    config: LanguageConfig, on_event: OnEvent = ignore_event, *, restart: bool = False
) -> LessonResult:
    """Teach the language model and save it with its tokenizer; an interrupted run goes on.

    Raises:
        ConfigError: the run is already finished, and `restart` is not set.
    """
    begin(config, restart=restart)
    torch.manual_seed(config.seed)
    tokenizer = make_tokenizer(config)
    lesson = LanguageLesson(config, tokenizer)
    result = teach(lesson, Dialogues(config, tokenizer), config, collate=collate, on_event=on_event)
    lesson.language_model.save_pretrained(config.output_dir)
    tokenizer.save_pretrained(config.output_dir)
    finish(config, result, on_event)
    return result
