"""The scene document: all that a clip shows, as plain data; from it come the pixels and the truth.

One real example::

    {"width_px": 128, "height_px": 128, "fps": 25.0, "seed": 7, "noise": 3.0, "shots": [
      {"duration_s": 3.2,
       "background": {"kind": "plain", "colors": [[40, 44, 52]], "angle_deg": 0.0},
       "objects": [{"shape": "circle", "color": "red", "radius": 0.18, "center": [0.25, 0.5],
                    "events": [{"kind": "moves", "start_s": 0.0, "end_s": 3.2,
                                "direction": "right", "distance": 0.5}]}]}]}

Times are seconds from the begin of the shot; lengths are fractions of the picture's width.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from valley.errors import ConfigError
from valley.synthetic.world import COLORS, DIRECTIONS, SHAPES, SIZES


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Event(_Record):
    """Something that happens to an object between two times."""

    kind: Literal["moves", "leaves", "appears"]
    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)
    direction: str | None = None
    distance: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Event:
        if self.end_s < self.start_s:
            raise ValueError(f"an event cannot end ({self.end_s}) before it starts ({self.start_s})")
        travels = self.kind in ("moves", "leaves")
        if travels and (self.direction not in DIRECTIONS or self.distance is None):
            raise ValueError(f"{self.kind!r} wants a distance and a direction of {', '.join(DIRECTIONS)}")
        if not travels and (self.direction is not None or self.distance is not None):
            raise ValueError(f"{self.kind!r} takes no direction and no distance")
        return self


class SceneObject(_Record):
    """A coloured shape, where it first stands, and what happens to it."""

    shape: str
    color: str
    radius: float = Field(gt=0, lt=0.5)
    center: tuple[float, float]
    events: tuple[Event, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> SceneObject:
        if self.shape not in SHAPES:
            raise ValueError(f"want a shape of {', '.join(SHAPES)}, got {self.shape!r}")
        if self.color not in COLORS:
            raise ValueError(f"want a color of {', '.join(COLORS)}, got {self.color!r}")
        return self

    @property
    def size(self) -> str:
        """The size word whose range is nearest to the radius."""
        return min(SIZES, key=lambda name: abs(sum(SIZES[name]) / 2 - self.radius))

    def position(self, time_s: float) -> tuple[float, float]:
        """Give the centre at a time of the shot, whether or not the object can be seen then."""
        x, y = self.center
        for event in self.events:
            if event.direction is None or event.distance is None:
                continue
            span_s = max(event.end_s - event.start_s, 1e-9)
            progress = min(max((time_s - event.start_s) / span_s, 0.0), 1.0)
            step_x, step_y = DIRECTIONS[event.direction]
            x, y = x + step_x * event.distance * progress, y + step_y * event.distance * progress
        return x, y

    def exists(self, time_s: float) -> bool:
        """Tell whether the object has appeared by this time of the shot."""
        return all(time_s >= e.start_s for e in self.events if e.kind == "appears")


class Background(_Record):
    """What is behind the objects: one colour, a ramp between two, or a grid of cells between two."""

    kind: Literal["plain", "gradient", "texture"]
    colors: tuple[tuple[int, int, int], ...] = Field(min_length=1, max_length=2)
    angle_deg: float = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Background:
        wanted = 1 if self.kind == "plain" else 2
        if len(self.colors) != wanted:
            raise ValueError(f"a {self.kind} background wants {wanted} colors, got {len(self.colors)}")
        return self


class Shot(_Record):
    """A stretch without a cut."""

    duration_s: float = Field(gt=0)
    background: Background
    objects: tuple[SceneObject, ...]

    @model_validator(mode="after")
    def _fits(self) -> Shot:
        for item in self.objects:
            for event in item.events:
                if event.end_s > self.duration_s + 1e-6:
                    raise ValueError(
                        f"an event ends at {event.end_s} s, after its shot ({self.duration_s} s)"
                    )
        return self


class Scene(_Record):
    """A whole clip."""

    width_px: int = Field(default=128, ge=16, le=4096)
    height_px: int = Field(default=128, ge=16, le=4096)
    fps: float = Field(default=25.0, gt=0, le=120)
    seed: int = 0
    noise: float = Field(default=0.0, ge=0, le=64)
    shots: tuple[Shot, ...] = Field(min_length=1)

    @property
    def duration_s(self) -> float:
        """Length of the clip."""
        return sum(shot.duration_s for shot in self.shots)

    @property
    def num_frames(self) -> int:
        """How many frames the rendered clip has."""
        return max(1, round(self.duration_s * self.fps))

    def shot_at(self, time_s: float) -> tuple[Shot, float]:
        """Give the shot shown at a time of the clip, and the time within that shot."""
        begin_s = 0.0
        for shot in self.shots[:-1]:
            if time_s < begin_s + shot.duration_s:
                return shot, time_s - begin_s
            begin_s += shot.duration_s
        return self.shots[-1], time_s - begin_s


def read_scene(path: Path) -> Scene:
    """Read a scene document.

    Raises:
        ConfigError: the file is absent, no JSON, or does not fit the schema; the message names the field.
    """
    try:
        return Scene.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such scene document") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file, want a JSON scene document") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(p) for p in first["loc"]) or "document"
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{path}: {place}: {reason}") from error


def write_scene(path: Path, scene: Scene) -> None:
    """Write a scene document through a temporary name."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(scene.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    part.replace(path)
