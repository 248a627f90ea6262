"""Teaches a small language model the synthetic world's English, Chinese and Spanish, from nothing.

It learns to converse about clips before it ever sees a pixel: in place of each frame's class token stands a
linear image of what the frame shows, as numbers (per colour: presence, position, radius, shape). That costs
no rendering and no vision tower. Two heads on the hidden states speed the lesson up: one says
what each object does at the last frame, one looks up the object a question is about where its answer
begins. The linear map and the heads are thrown away; what is kept is a plain `LlamaForCausalLM` and its
tokenizer. The projector that brings real frames into its space is trained afterwards, in stage 1.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import PositiveInt
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from valley.model.composing_valley import CHAT_TOKENS, END_TOKEN, PAD_TOKEN
from valley.synthetic.scene import Scene
from valley.synthetic.stream import Drawn, SampleStream
from valley.synthetic.truth import ObjectTruth
from valley.synthetic.world import COLORS, DIRECTIONS, EVENTS, SHAPES, SIZES
from valley.training.lessons import LessonConfig, LessonResult, begin, finish, teach
from valley.training.progress import OnEvent, ignore_event
from valley.training.vision_pretraining import frame_labels

END_OF_TEXT = "<|endoftext|>"
IGNORED = -100
SLOT_WIDTH = 4 + len(SHAPES)
POSITION_NOISE = 0.01
"""About what a trained tower's class token is off by, in widths of the picture."""

# Without the first split, merges swallow whole Chinese clauses, one of which holds two facts.
_HAN = Regex("[\\u3400-\\u9fff]")

# What the look-up head says of the object a question is about.
_FACTS: dict[str, tuple[Any, ...]] = {
    "color": tuple(COLORS),
    "shape": SHAPES,
    "size": tuple(SIZES),
    "event": EVENTS,
    "direction": tuple(DIRECTIONS),
    "start_place": tuple((c, r) for r in range(3) for c in range(3)),
    "end_place": tuple((c, r) for r in range(3) for c in range(3)),
}
_FACT_WIDTHS = [len(values) for values in _FACTS.values()]


class LanguageConfig(LessonConfig):
    """Recipe of the language model."""

    stage: Literal["language"]
    vocab_size: PositiveInt = 1200
    tokenizer_dialogues: PositiveInt = 6000
    hidden_size: PositiveInt = 128
    intermediate_size: PositiveInt = 512
    num_layers: PositiveInt = 4
    num_heads: PositiveInt = 4
    max_position_embeddings: PositiveInt = 4096
    # The layers whose hidden states the two heads read.
    event_layer: PositiveInt = 2
    look_up_layer: PositiveInt = 3
    event_weight: float = 0.3
    look_up_weight: float = 0.5


def make_tokenizer(config: LanguageConfig) -> PreTrainedTokenizerFast:
    """Train the byte-level BPE tokenizer; it can spell any text of any language."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [pre_tokenizers.Split(_HAN, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[END_OF_TEXT, PAD_TOKEN, *CHAT_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    stream = SampleStream("instructions", seed=config.seed)
    texts = (m.text for i in range(config.tokenizer_dialogues) for m in stream.conversation(i).messages)
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_TOKEN,
        pad_token=PAD_TOKEN,
        clean_up_tokenization_spaces=False,
    )


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


class Dialogues(Dataset[dict[str, Tensor]]):
    """Dialogues about clips, each clip given as numbers instead of pixels."""

    def __init__(self, config: LanguageConfig, tokenizer: PreTrainedTokenizerFast) -> None:
        """Remember the recipe; item i is drawn from the seed and i alone."""
        self.tokenizer = tokenizer
        self.seed = config.seed
        self.stream = SampleStream("instructions", seed=config.seed + 1)
        self.ids: dict[str, int] = dict(zip(CHAT_TOKENS, tokenizer.encode("".join(CHAT_TOKENS)), strict=True))

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Draw dialogue number `index`.

        Returns:
            `ids` i64[token], where frame k of the clip is written as -1 - k; `labels` i64[token]; `slots`
            f32[frame color slot]; `events` and `directions` i64[color], -100 where unknown; `answer_starts`
            i64[question], the tokens whose successors begin the answers; `facts` i64[question fact].
        """
        drawn = self.stream.draw(index)
        slots = _slots(drawn, np.random.default_rng([self.seed, 3, index]))
        row = self._tokens(drawn, len(slots))
        events, directions = _motions(drawn)
        facts = [_facts(q.about, is_image=len(slots) == 1) for q in drawn.asked]
        return row | {
            "slots": slots,
            "events": events,
            "directions": directions,
            "facts": torch.tensor(facts, dtype=torch.long),
        }

    def _tokens(self, drawn: Drawn, num_frames: int) -> dict[str, Tensor]:
        ids, labels = [self.tokenizer.bos_token_id], [IGNORED]
        starts: list[int] = []
        frames = [-1 - k for k in range(num_frames)]
        for message in drawn.conversation.messages:
            words = [*self.tokenizer.encode(message.text), self.ids["<|end|>"]]
            answers = message.role == "assistant"
            seen = frames if message.media else []
            if answers:
                starts.append(len(ids))
            ids += [self.ids[f"<|{message.role}|>"], *seen, *words]
            labels += [IGNORED] * (1 + len(seen)) + (words if answers else [IGNORED] * len(words))
        return {
            "ids": torch.tensor(ids),
            "labels": torch.tensor(labels),
            "answer_starts": torch.tensor(starts),
        }


def _slots(drawn: Drawn, rng: np.random.Generator) -> Tensor:
    if drawn.scene is None:
        return torch.zeros(0, len(COLORS), SLOT_WIDTH)
    return torch.from_numpy(np.stack([_frame_slots(drawn.scene, t, rng) for t in drawn.times_s]))


def _frame_slots(scene: Scene, time_s: float, rng: np.random.Generator) -> np.ndarray:
    labels = frame_labels(scene, time_s, grid=1)
    seen = labels["slots"][:, :1]
    noise = rng.normal(0, POSITION_NOISE, labels["slots"].shape) * seen * [0, 1, 1, 0.3]
    shapes = np.equal(labels["shapes"][:, None], np.arange(len(SHAPES)))
    return np.concatenate([labels["slots"] + noise, shapes], axis=1).astype(np.float32)


def _motions(drawn: Drawn) -> tuple[Tensor, Tensor]:
    events = torch.full((len(COLORS),), IGNORED)
    directions = events.clone()
    if drawn.truth is not None and not drawn.truth.is_image:
        events[:] = len(EVENTS)  # no such object
        for item in drawn.truth.objects:
            slot = list(COLORS).index(item.color)
            events[slot] = EVENTS.index(item.event)
            if item.direction:
                directions[slot] = list(DIRECTIONS).index(item.direction)
    return events, directions


def _facts(about: ObjectTruth | None, *, is_image: bool) -> list[int]:
    if about is None:
        return [IGNORED] * len(_FACTS)
    known = asdict(about)
    if is_image:
        known |= {"event": None, "direction": None}
    return [IGNORED if known[name] is None else values.index(known[name]) for name, values in _FACTS.items()]


def collate(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Pad rows into a batch; `answer_starts` become (row, token) pairs, in the order of `facts`."""
    starts = [
        torch.stack([torch.full_like(r["answer_starts"], i), r["answer_starts"]], 1)
        for i, r in enumerate(rows)
    ]
    return {
        "ids": pad_sequence([r["ids"] for r in rows], batch_first=True, padding_value=0),
        "mask": pad_sequence([torch.ones_like(r["ids"]) for r in rows], batch_first=True),
        "labels": pad_sequence([r["labels"] for r in rows], batch_first=True, padding_value=IGNORED),
        "slots": pad_sequence([r["slots"] for r in rows], batch_first=True),
        "num_frames": torch.tensor([len(r["slots"]) for r in rows]),
        "events": torch.stack([r["events"] for r in rows]),
        "directions": torch.stack([r["directions"] for r in rows]),
        "answer_starts": torch.cat(starts),
        "facts": torch.cat([r["facts"] for r in rows]),
    }


class LanguageLesson(nn.Module):
    """The language model with the map and the heads that only serve to teach it."""

    def __init__(self, config: LanguageConfig, tokenizer: PreTrainedTokenizerFast) -> None:
        """Make everything untrained."""
        super().__init__()
        self.config = config
        self.language_model = make_language_model(config, tokenizer)
        dim = config.hidden_size
        self.see = nn.Linear(len(COLORS) * SLOT_WIDTH, dim)
        self.event_head = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, len(COLORS) * (1 + len(EVENTS) + len(DIRECTIONS)))
        )
        self.look_up_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, sum(_FACT_WIDTHS)))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the losses: next words, what each object does, what the question is about."""
        ids = batch["ids"]
        embeds = self.language_model.get_input_embeddings()(ids.clamp(min=0))
        frames = self.see(batch["slots"].flatten(2))
        rows, places = (ids < 0).nonzero(as_tuple=True)
        embeds = embeds.index_put((rows, places), frames[rows, -1 - ids[rows, places]])
        out = self.language_model.model(
            inputs_embeds=embeds, attention_mask=batch["mask"], output_hidden_states=True, use_cache=False
        )
        said = batch["labels"][:, 1:] != IGNORED
        logits = self.language_model.lm_head(out.last_hidden_state[:, :-1][said])
        return {
            "words": F.cross_entropy(logits, batch["labels"][:, 1:][said]),
            "events": self.config.event_weight * self._event_loss(out.hidden_states, batch),
            "look_up": self.config.look_up_weight * self._look_up_loss(out.hidden_states, batch),
        }

    def _event_loss(self, hidden: tuple[Tensor, ...], batch: dict[str, Tensor]) -> Tensor:
        last = -batch["num_frames"][:, None]
        rows, places = ((batch["ids"] == last) & (last < 0)).nonzero(as_tuple=True)
        read = self.event_head(hidden[self.config.event_layer][rows, places]).unflatten(-1, (len(COLORS), -1))
        events, directions = read.split([1 + len(EVENTS), len(DIRECTIONS)], dim=-1)
        return _known_loss(events, batch["events"][rows]) + _known_loss(directions, batch["directions"][rows])

    def _look_up_loss(self, hidden: tuple[Tensor, ...], batch: dict[str, Tensor]) -> Tensor:
        rows, places = batch["answer_starts"].unbind(1)
        read = self.look_up_head(hidden[self.config.look_up_layer][rows, places])
        facts = batch["facts"].unbind(1)
        losses = [_known_loss(r, f) for r, f in zip(read.split(_FACT_WIDTHS, dim=-1), facts, strict=True)]
        return torch.stack(losses).sum()


def _known_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy over the labels that are known; 0 where none is."""
    known = (labels != IGNORED).sum().clamp(min=1)
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="sum") / known


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
