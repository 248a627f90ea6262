"""What a run of `valley instruct` is told: tasks with weights, languages, the writer, the money."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from valley.conversation import is_language_tag
from valley.instruct.places import quarantine_path, store_path
from valley.recipe import StrictSettings


class PriceSettings(StrictSettings):
    """Dollars for a million tokens."""

    prompt_usd: float = Field(ge=0)
    completion_usd: float = Field(ge=0)


class WriterSettings(StrictSettings):
    """The model that writes.

    Attributes:
        base_url: of any OpenAI-compatible server, such as "http://localhost:8000/v1".
        model: its name there.
        seed: sent along where it is given.
        requests_per_minute: what the server allows, where that is known.
        tokens_per_minute: the same.
        concurrency: at most so many calls at once.
        timeout_s: of one call.
        price: of a million tokens; without it only tokens are counted.
        max_usd: never spend more in all of the store's life.
        max_tokens: the same in tokens.
        num_frames: pictures of the clip for writers that can see; 0: none.
        reply_form: how the server is told the form of a reply; "auto" finds out.
        most_tries: replies for one conversation, and one more where one of them had not the form.
        ask_again: also pay for replies to what an earlier run gave up, or accepted and a check refuses now.
    """

    base_url: str
    model: str
    seed: int | None = None
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    concurrency: int = Field(default=16, ge=1, le=1024)
    timeout_s: float = Field(default=120.0, gt=0)
    price: PriceSettings | None = None
    max_usd: float | None = Field(default=None, gt=0)
    max_tokens: int | None = Field(default=None, gt=0)
    num_frames: int = Field(default=0, ge=0, le=64)
    reply_form: Literal["auto", "json_schema", "tools", "prompt"] = "auto"
    most_tries: int = Field(default=3, ge=1, le=10)
    ask_again: bool = False


class InstructSettings(StrictSettings):
    """A whole run.

    Attributes:
        corpus: the folder of a finished collection.
        out: the conversations, one JSON object a line.
        writer: who writes.
        tasks: how often each task is wanted, by weight.
        languages: BCP-47 tags; each is wanted as often as the others.
        per_clip: conversations a clip; None: one of every task that suits.
        limit: at most so many clips.
        splits: of the collection, those that are written about.
        seed: another one draws other tasks and languages.
        checks: names of checks, "all" for all there are.
        judge_share: of the accepted ones, those that a model looks at once more.
        judge_model: which; the writer where it is empty.
        blind_share: of the accepted ones, those whose question is asked without the facts.
        allow_unknown_licence: also write about clips whose licence nobody stated.
    """

    corpus: Path
    out: Path
    writer: WriterSettings
    tasks: dict[str, float] = Field(min_length=1)
    languages: tuple[str, ...] = Field(default=("en",), min_length=1)
    per_clip: int | None = Field(default=None, ge=1)
    limit: int | None = Field(default=None, ge=1)
    splits: tuple[Literal["train", "validation", "test"], ...] = ("train", "validation", "test")
    seed: int = 0
    checks: tuple[str, ...] = ("all",)
    judge_share: float = Field(default=0.0, ge=0, le=1)
    judge_model: str = ""
    blind_share: float = Field(default=0.0, ge=0, le=1)
    allow_unknown_licence: bool = False

    @field_validator("languages")
    @classmethod
    def _are_tags(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [tag for tag in tags if not is_language_tag(tag)]
        if wrong:
            raise ValueError(f"want BCP-47 tags such as en or zh-Hans, got {wrong[0]!r}")
        return tags

    @property
    def store(self) -> Path:
        """Where raw replies are kept: beside what is written."""
        return store_path(self.out)

    @property
    def quarantine(self) -> Path:
        """What was given up, with the raw replies."""
        return quarantine_path(self.out)
