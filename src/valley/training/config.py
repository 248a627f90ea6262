"""What a training run is told: one frozen, strict record, read from a YAML recipe and `a.b=v` overrides.

Reading a recipe imports neither torch nor transformers. Paths are taken from the folder in which the command
runs, as on any command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from valley.recipe import StrictSettings, checked, override, read_recipe

Part: TypeAlias = Literal["vision_tower", "multi_modal_projector", "temporal_pooling", "language_model"]
Stage: TypeAlias = Literal["align", "instruct"]

STAGE_PARTS: dict[Stage, tuple[Part, ...]] = {
    "align": ("multi_modal_projector", "temporal_pooling"),
    "instruct": ("multi_modal_projector", "temporal_pooling", "language_model"),
}
# The rates of the 2023 recipe: a fresh projector takes 1e-3; what has been trained before takes 2e-5.
STAGE_LEARNING_RATE: dict[Stage, float] = {"align": 1e-3, "instruct": 2e-5}

# Settings of transformers.TrainingArguments that a recipe states elsewhere, and where.
RESERVED_TRAINER_SETTINGS = {
    "output_dir": "output_dir",
    "seed": "seed",
    "data_seed": "seed",
    "learning_rate": "learning_rates",
    "optim": "learning_rates",
    "remove_unused_columns": "data",
    "resume_from_checkpoint": "the resume argument",
    "disable_tqdm": "the on_event argument",
}
ALIASES = {
    "base": "model.checkpoint",
    "out": "output_dir",
    "max_steps": "trainer.max_steps",
    "save_steps": "trainer.save_steps",
}
LESSON_ALIASES = {"out": "output_dir", "save_steps": "save_every_steps"}
"""The same for recipes whose stage teaches a part from nothing: those have no trainer."""


class ModelSettings(StrictSettings):
    """Which network is trained: a Valley checkpoint, or parts that are put together.

    `checkpoint`, `vision_tower`, `language_model` and `tokenizer` are folders or hub ids.
    """

    checkpoint: str | None = None
    vision_tower: str | None = None
    language_model: str | None = None
    tokenizer: str | None = None
    temporal_pooling: str | None = None
    temporal_pooling_config: dict[str, Any] | None = None
    # A folder in which a language lesson left the pooling it was taught with; by default a pooling is new.
    temporal_pooling_weights: Path | None = None
    # Begin with the projector that the lessons in the folders vision_tower and language_model make.
    projector_from_lessons: bool = False
    # Begin with the projector that stage 1 of 2023 wrote (mm_projector.bin).
    projector_weights: Path | None = None
    projector_type: str | None = None
    vision_feature_layer: int | None = None
    num_frames: PositiveInt | None = None
    # Say in words when each frame of a clip is shown; the layout of 2023, the default, does not.
    frame_times: bool | None = None
    # eager is 1.3-1.6x faster than sdpa in bf16 on a CPU; sdpa or flash_attention_2 on a GPU.
    attn_implementation: str | None = None
    # The weights an optimizer moves want float32; bf16 arithmetic comes from trainer.bf16 (autocast).
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    # Layers of the language model in eight or four bits (QLoRA); needs `lora`.
    quantize: Literal["int8", "int4"] | None = None
    save_dtype: Literal["float32", "float16", "bfloat16"] | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> ModelSettings:
        composing = [name for name in COMPOSING_SETTINGS if getattr(self, name) is not None]
        if self.checkpoint is not None and composing:
            raise ValueError(f"checkpoint already decides {', '.join(composing)}; leave them out")
        given = ("temporal_pooling_weights", "projector_from_lessons", "projector_weights")
        handed_on = [name for name in given if getattr(self, name)]
        if self.checkpoint is not None and handed_on:
            raise ValueError(
                f"checkpoint has its own projector and pooling; leave {', '.join(handed_on)} out"
            )
        if self.projector_from_lessons and self.projector_weights is not None:
            raise ValueError("want one projector, got projector_from_lessons and projector_weights")
        if self.checkpoint is None and (self.vision_tower is None or self.language_model is None):
            raise ValueError("want either a checkpoint, or a vision_tower and a language_model")
        return self


COMPOSING_SETTINGS = (
    "vision_tower",
    "language_model",
    "tokenizer",
    "temporal_pooling",
    "temporal_pooling_config",
    "projector_type",
    "vision_feature_layer",
    "num_frames",
    "frame_times",
)


class SyntheticSettings(StrictSettings):
    """Clips rendered on the fly: sample number i is the same in every run with the same seed."""

    kind: Literal["captions", "instructions"]
    num_samples: PositiveInt
    seed: int = 0
    languages: tuple[str, ...] = ("en", "zh", "es")
    # Width and height at which frames are drawn; the vision tower's own size saves a resize.
    size_px: PositiveInt = 64
    num_frames: PositiveInt = 8
    # Many questions share the cost of one look at the clip.
    max_rounds: PositiveInt = 6
    # Of the scenes, those of the rich level; of the samples, those with footage of another world.
    rich_share: float = Field(default=0.0, ge=0, le=1)
    foreign_share: float = Field(default=0.06, ge=0, le=1)
    # Black frames: what can be answered without looking, for comparison.
    blank: bool = False


class DataSource(StrictSettings):
    """One source of conversations; `weight` is how often each of its samples occurs in one epoch."""

    path: tuple[Path, ...] | None = None
    synthetic: SyntheticSettings | None = None
    weight: PositiveFloat = 1.0
    # Take only so many samples, drawn by the seed, that they have at most so many tokens, visual ones too.
    max_tokens: PositiveInt | None = None
    # SPDX id or name; it goes into the checkpoint's card.
    licence: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_path_is_a_list(cls, fields: Any) -> Any:  # noqa: ANN401
        if isinstance(fields, dict) and isinstance(fields.get("path"), str | Path):
            return {**fields, "path": [fields["path"]]}
        return fields

    @model_validator(mode="after")
    def _one_kind(self) -> DataSource:
        if (self.path is None) == (self.synthetic is None):
            raise ValueError("want exactly one of path and synthetic")
        return self


class MediaSettings(StrictSettings):
    """Which frames a clip gives, and what becomes of clips that cannot be read.

    `skip` and `quarantine` keep the step count: the sample stays as text with no word to learn. `quarantine`
    also writes each bad medium to `quarantine.jsonl` in the run's folder.
    """

    num_frames: PositiveInt | None = None
    fps: PositiveFloat | None = None
    on_bad_media: Literal["raise", "skip", "quarantine"] = "raise"
    # A few bad files are normal in a crawl; one in twenty says that the set itself is broken.
    max_bad_fraction: float = Field(default=0.05, ge=0, le=1)


class LoraSettings(StrictSettings):
    """Adapters of low rank (LoRA) instead of whole layers; saved through PEFT.

    `parts` get adapters; the other parts that the stage moves are trained whole and saved with them.
    """

    rank: PositiveInt = 16
    alpha: PositiveFloat = 32.0
    dropout: float = Field(default=0.0, ge=0, lt=1)
    parts: tuple[Part, ...] = ("language_model",)
    # A regular expression that the names of the adapted layers match; every linear layer unless given.
    target_modules: str | None = None


class FeatureCacheSettings(StrictSettings):
    """Keep what a frozen tower sees of a medium on disk, and look it up in later epochs and stages.

    `auto` does so where it is worth it: several epochs over media whose features take at most `auto_gb`.
    """

    use: Literal["auto", "always", "never"] = "auto"
    folder: Path = Path("out/features")
    max_gb: PositiveFloat = 20.0
    auto_gb: PositiveFloat = 1.0
    # auto: float16 where the run computes in half precision, and sees no more of a number than that.
    dtype: Literal["auto", "float16", "float32"] = "auto"


class TrainConfig(StrictSettings):
    """A whole run; see recipes/align.yaml for an example with comments."""

    stage: Stage
    model: ModelSettings
    data: tuple[DataSource, ...] = Field(min_length=1)
    output_dir: Path
    seed: int = 0
    train_parts: tuple[Part, ...] | None = None
    learning_rates: dict[Part, PositiveFloat] = Field(default_factory=dict)
    # In the parts named here Muon moves the matrices of the layers, at this rate; AdamW moves the rest.
    muon_learning_rates: dict[Part, PositiveFloat] = Field(default_factory=dict)
    media: MediaSettings = MediaSettings()
    lora: LoraSettings | None = None
    # Several samples in one row, kept apart by their positions: no padding is computed.
    packing: bool = False
    # Where nothing is packed: batches of samples that are about equally long, by an estimate.
    group_by_length: bool = False
    feature_cache: FeatureCacheSettings = FeatureCacheSettings()
    # Where the lines of conversation files are indexed, so that they need not be held in memory.
    index_dir: Path = Path("out/index")
    # Licence of each base model, by its name in `model`; a data source has its own field.
    licences: dict[str, str] = Field(default_factory=dict)
    max_length: PositiveInt | None = None
    # Checkpoints serve to go on after an interruption; a finished run needs them no more.
    keep_checkpoints: bool = False
    # At the end report.html and report.png, with this many answers before and after.
    report: bool = True
    report_samples: int = Field(default=4, ge=0)
    trainer: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _one_source_is_a_list(cls, fields: Any) -> Any:  # noqa: ANN401
        if isinstance(fields, dict) and isinstance(fields.get("data"), dict):
            return {**fields, "data": [fields["data"]]}
        return fields

    @model_validator(mode="after")
    def _fits_together(self) -> TrainConfig:
        for name in self.trainer.keys() & RESERVED_TRAINER_SETTINGS.keys():
            raise ValueError(f"trainer.{name} is set by {RESERVED_TRAINER_SETTINGS[name]}")
        self._one_order()
        max_steps = self.trainer.get("max_steps", 1)
        if not isinstance(max_steps, int) or (
            max_steps < 1 and max_steps != -1
        ):  # -1 is the trainer's "epochs"
            raise ValueError(f"trainer.max_steps: want 1 or more, got {max_steps}; without it, whole epochs")
        if self.lora is not None and self.model.checkpoint is None:
            raise ValueError("lora: adapters belong to a checkpoint; give base= (model.checkpoint)")
        if self.model.quantize is not None and self.lora is None:
            raise ValueError("model.quantize: what is quantised cannot move; give lora as well")
        if self.feature_cache.use == "always" and "vision_tower" in self.parts:
            raise ValueError("feature_cache keeps what a frozen tower sees, but this run trains the tower")
        for name in ("learning_rates", "muon_learning_rates"):
            for part in getattr(self, name).keys() - set(self.parts):
                raise ValueError(f"{name} names {part}, which this run does not train; see train_parts")
        return self

    def _one_order(self) -> None:
        strategy = self.trainer.get("train_sampling_strategy")
        if strategy in ("group_by_length", "batch_rebalance"):
            raise ValueError(
                f"trainer.train_sampling_strategy: {strategy} reads all media; write group_by_length: true"
            )
        if self.group_by_length and strategy is not None:
            raise ValueError(f"group_by_length: {strategy} is an order too; leave one of the two out")
        if self.group_by_length and self.packing:
            raise ValueError("group_by_length: packing leaves no padding to save; leave one of the two out")

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that move: those of the stage, or `train_parts` where it is given."""
        return self.train_parts or STAGE_PARTS[self.stage]

    @property
    def part_learning_rates(self) -> dict[Part, float]:
        """The learning rate of every part that moves."""
        default = STAGE_LEARNING_RATE[self.stage]
        return {part: self.learning_rates.get(part, default) for part in self.parts}


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a recipe and apply overrides such as ``trainer.max_steps=10`` or ``data.0.weight=2``.

    `base=`, `out=`, `max_steps=` and `save_steps=` are short for the settings that ALIASES and
    LESSON_ALIASES name.

    Raises:
        ConfigError: the file is absent or no YAML, or a setting is unknown, missing or contradicts another.
    """
    return make_config(read_fields(path, overrides), where=str(path))


def read_fields(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a recipe's settings without checking them; see `read_config`."""
    fields = read_recipe(path)
    for words in overrides:
        override(fields, words, aliases=ALIASES if fields.get("stage") in STAGE_PARTS else LESSON_ALIASES)
    return fields


def make_config(fields: dict[str, Any], *, where: str = "config") -> TrainConfig:
    """Check settings given as a dict; raise ConfigError with every fault, each with its place."""
    return checked(TrainConfig, fields, where=where)
