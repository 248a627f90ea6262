"""Teaches a small language model the synthetic world's English, Chinese and Spanish, from nothing.

It learns to converse about clips before it ever sees a pixel: in place of the projector's tokens stand linear
images of what the frames show, as numbers. That costs no rendering and no vision tower. The temporal pooling
is the product's own and learns along. Many questions about a clip share one look at it: each sees the clip
and itself, not the others. Heads speed the lesson up: one says of the pooled tokens, and of what the language
model makes of them, what every object did in every shot; one numbers the frames; one looks up the object
that a question is about where the answer begins, and each object of a caption where the caption comes to it;
and one says what the answer comes to, such as a time, or yes or no. The heads are thrown away; what is kept
is a plain `LlamaForCausalLM`, its tokenizer, the pooling, and the linear maps, of which the projector is
made that brings real frames into their space.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from valley.errors import ConfigError
from valley.model.temporal_pooling import TemporalPooling, build_temporal_pooling
from valley.synthetic.world import COLORS
from valley.training.frame_labels import FRAME_WIDTH, PATCH_WIDTH, color_of_patch
from valley.training.handing_on import save_pooling, save_see
from valley.training.language_facts import (
    ANSWER_FACTS,
    FRAME_FACTS,
    HISTORY_FACTS,
    IGNORED,
    MOST_SHOTS,
    QUESTION_FACTS,
    Kinds,
    facts_loss,
    width,
)
from valley.training.language_recipe import LanguageConfig, make_tokenizer
from valley.training.language_rows import Dialogues, collate, packed_mask, packed_positions
from valley.training.lessons import LessonResult, begin, finish, teach
from valley.training.precision import wants_bf16
from valley.training.progress import OnEvent, ignore_event

LESSON_NAME = "lesson.safetensors"
"""The lesson whole, heads and all, from which another one can go on."""

QUIET = 0.25
"""Size at which a new pooling's tokens begin: loud ones would leave the layers behind them nothing to say."""


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


def make_pooling(config: LanguageConfig) -> TemporalPooling:
    """Make an untrained temporal pooling of the language model's width."""
    pooling = build_temporal_pooling(
        config.temporal_pooling,
        config.temporal_pooling_config,
        dim=config.hidden_size,
        num_patches=config.num_patches,
    )
    for name, parameter in pooling.named_parameters():
        if name.endswith("norm2.weight"):
            nn.init.constant_(parameter, QUIET)
    return pooling


class LanguageLesson(nn.Module):
    """The language model and the pooling, with the maps and the heads that only serve to teach them."""

    def __init__(self, config: LanguageConfig, tokenizer: PreTrainedTokenizerFast) -> None:
        """Make everything untrained."""
        super().__init__()
        self.config = config
        self.language_model = make_language_model(config, tokenizer)
        # Each is on a CPU the faster one for short rows.
        self.language_model.set_attn_implementation("eager" if wants_bf16(config.bf16) else "sdpa")
        self.temporal_pooling = make_pooling(config)
        dim = config.hidden_size
        self.see_frame = nn.Linear(FRAME_WIDTH, dim)
        self.see_patch = nn.Linear(PATCH_WIDTH, dim)
        self.pooled_head = _head(dim, HISTORY_FACTS, times=MOST_SHOTS)
        self.event_head = _head(dim, HISTORY_FACTS, times=MOST_SHOTS)
        self.frame_head = _head(dim, FRAME_FACTS)
        self.look_up_head = _head(dim, QUESTION_FACTS)
        self.answer_head = _head(dim, ANSWER_FACTS)
        self.measures: dict[str, list[float]] = {}

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Give the losses: next words, what each object did, which frame is which, what is asked about."""
        ids, segments, config = batch["ids"], batch["segments"], self.config
        pooled = self._pool(self.see_patch(batch["patches"]), batch["num_frames"])
        colors = torch.from_numpy(color_of_patch(config.num_patches))
        visual = torch.cat([pooled[:, colors], self.see_frame(batch["frames"])], 1)
        embeds = self.language_model.get_input_embeddings()(ids.clamp(min=0))
        rows, places = (ids < 0).nonzero(as_tuple=True)
        numbers = -1 - ids[rows, places]
        embeds = embeds.index_put((rows, places), visual[rows, numbers].to(embeds.dtype))
        out = self.language_model.model(
            inputs_embeds=embeds,
            attention_mask=packed_mask(segments),
            position_ids=packed_positions(segments),
            output_hidden_states=True,
            use_cache=False,
        )
        said = batch["labels"][:, 1:] != IGNORED
        logits = self.language_model.lm_head(out.last_hidden_state[:, :-1][said]).float()
        labels, weights = batch["labels"][:, 1:][said], batch["weights"][:, 1:][said]
        words = F.cross_entropy(logits, labels, reduction="none")
        self._measure(logits.detach().argmax(-1) == labels, said, batch)
        digested = out.hidden_states[config.event_layer]
        asked = out.hidden_states[config.look_up_layer][batch["answer_starts"].unbind(1)]
        told = out.hidden_states[config.look_up_layer][batch["told_places"].unbind(1)]
        # What is asked about is known by then; what follows from it is one layer further on.
        decided = out.hidden_states[config.look_up_layer + 1][batch["answer_starts"].unbind(1)]
        # Of the patch tokens, the last two of each colour have all other colours before them.
        late = (numbers < config.num_patches) & (numbers >= config.num_patches - 2 * len(COLORS))
        is_frame = numbers >= config.num_patches
        return {
            "words": (words * weights).sum() / weights.sum(),
            "pooled": config.event_weight * _history_loss(self.pooled_head(pooled), batch["history"]),
            "events": config.event_weight
            * _history_loss(
                self.event_head(digested[rows[late], places[late]]),
                batch["history"][rows[late], colors[numbers[late]]],
            ),
            "frames": config.event_weight
            * facts_loss(
                self.frame_head(digested[rows[is_frame], places[is_frame]]),
                batch["frame_facts"][rows[is_frame], numbers[is_frame] - config.num_patches],
                FRAME_FACTS,
            ),
            "look_up": config.look_up_weight
            * facts_loss(self.look_up_head(asked), batch["facts"], QUESTION_FACTS),
            "told": config.look_up_weight
            * facts_loss(self.look_up_head(told), batch["told"], QUESTION_FACTS),
            "answers": config.look_up_weight
            * facts_loss(self.answer_head(decided), batch["answer_facts"], ANSWER_FACTS),
        }

    def _pool(self, patches: Tensor, num_frames: Tensor) -> Tensor:
        """Pool f[row frame color dim] over the real frames of each row: f[row color dim].

        Clips of equal length go through together: the pooling looks at each patch alone.
        """
        pooled = patches.new_zeros(patches.shape[0], *patches.shape[2:], dtype=torch.float32)
        for count in num_frames[num_frames > 0].unique().tolist():
            rows = (num_frames == count).nonzero()[:, 0]
            series = patches[rows, :count].transpose(0, 1)  # frame row color dim
            tokens = self.temporal_pooling.pool(series.flatten(1, 2))
            pooled = pooled.index_put((rows,), tokens.unflatten(0, (len(rows), -1)).float())
        return pooled

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


def _head(dim: int, kinds: Kinds, *, times: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, times * width(kinds)))


def _history_loss(logits: Tensor, history: Tensor) -> Tensor:
    """Compare logits f[... shots*width] with facts i64[... shot fact]."""
    return facts_loss(logits.unflatten(-1, (MOST_SHOTS, -1)), history, HISTORY_FACTS)


def begin_with(lesson: LanguageLesson, base: Path) -> None:
    """Begin with what a finished lesson left.

    Raises:
        ConfigError: the folder is not what a language lesson leaves, or its parts have other widths.
    """
    path = base / LESSON_NAME
    if not path.is_file():
        raise ConfigError(f"base: want a folder that a language lesson left, got {base}")
    try:
        load_model(lesson, path)
    except RuntimeError as error:
        raise ConfigError(f"base: {base} was made by another recipe ({error})") from error


def train_language(
    config: LanguageConfig, on_event: OnEvent = ignore_event, *, restart: bool = False
) -> LessonResult:
    """Teach the language model and save it with its tokenizer and pooling; an interrupted run goes on.

    Raises:
        ConfigError: the run is already finished, and `restart` is not set.
    """
    begin(config, restart=restart)
    torch.manual_seed(config.seed)
    tokenizer = make_tokenizer(config)
    lesson = LanguageLesson(config, tokenizer)
    if config.base is not None:
        begin_with(lesson, config.base)
    result = teach(lesson, Dialogues(config, tokenizer), config, collate=collate, on_event=on_event)
    lesson.language_model.save_pretrained(config.output_dir)
    tokenizer.save_pretrained(config.output_dir)
    save_pooling(lesson.temporal_pooling, config.output_dir)
    save_see(lesson.see_frame, lesson.see_patch, config.output_dir)
    save_model(lesson, str(config.output_dir / LESSON_NAME))
    finish(config, result, on_event)
    return result
