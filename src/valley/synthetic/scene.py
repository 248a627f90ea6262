"""The scene document: all that a clip shows, as plain data; from it come the pixels and the truth.

One real example::

    {"width_px": 128, "height_px": 128, "fps": 25.0, "seed": 7, "noise": 3.0, "shots": [
      {"duration_s": 3.2,
       "background": {"kind": "plain", "colors": [[40, 44, 52]], "angle_deg": 0.0},
       "objects": [{"shape": "circle", "color": "red", "radius": 0.18, "center": [0.25, 0.5],
                    "events": [{"kind": "moves", "start_s": 0.0, "end_s": 3.2,
                                "direction": "right", "distance": 0.5}]}]}]}

Times are seconds from the begin of the shot; lengths are fractions of the picture's width. `scene_schema()`
gives the JSON Schema of the document.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from valley.errors import ConfigError
from valley.synthetic.world import COLORS, DIRECTIONS, SHAPES, SIZES, TRAVELLING, EventKind
from valley.whole_files import write_whole

END_SLACK_S = 0.05
"""A `moves`, `pushed` or `bounces` that ends this near to the end of its shot lasts to the end."""

CONTACT_SLACK_S = 0.002
"""A push begins when the hitter arrives, apart from rounding."""

_LASTING = frozenset(("moves", "pushed", "bounces"))
_SUDDEN = frozenset(("recolors", "appears", "disappears"))


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Event(_Record):
    """Something that happens to an object between two times of its shot.

    `direction` and `distance` belong to what travels (`bounces`: the first direction, the whole way),
    `to_color` to `recolors`, `to_radius` to `grows` and `shrinks`, `turn_deg` to `spins`, and `partner`, the
    position of the other object in the shot's list, to `hits` and `pushed`.
    """

    kind: EventKind
    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)
    direction: str | None = None
    distance: float | None = Field(default=None, gt=0)
    to_color: str | None = None
    to_radius: float | None = Field(default=None, gt=0, lt=0.5)
    turn_deg: float | None = None
    partner: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> Event:
        if self.end_s < self.start_s:
            raise ValueError(f"an event cannot end ({self.end_s}) before it starts ({self.start_s})")
        if self.kind in _SUDDEN and self.end_s != self.start_s:
            raise ValueError(f"{self.kind!r} happens at once: want end_s equal to start_s")
        if self.kind not in _SUDDEN and self.end_s == self.start_s:
            raise ValueError(f"{self.kind!r} takes time: want end_s after start_s")
        if self.direction is not None and self.direction not in DIRECTIONS:
            raise ValueError(f"want a direction of {', '.join(DIRECTIONS)}, got {self.direction!r}")
        if self.to_color is not None and self.to_color not in COLORS:
            raise ValueError(f"want a to_color of {', '.join(COLORS)}, got {self.to_color!r}")
        travels = self.kind in TRAVELLING
        wanted = {
            "direction": travels,
            "distance": travels,
            "to_color": self.kind == "recolors",
            "to_radius": self.kind in ("grows", "shrinks"),
            "turn_deg": self.kind == "spins",
            "partner": self.kind in ("hits", "pushed"),
        }
        for name, needed in wanted.items():
            if needed != (getattr(self, name) is not None):
                raise ValueError(f"{self.kind!r} {'wants a' if needed else 'takes no'} {name}")
        return self

    def progress(self, time_s: float) -> float:
        """Give how much of the event has happened by a time of the shot, from 0 to 1."""
        if self.end_s <= self.start_s:
            return float(time_s >= self.start_s)
        return min(max((time_s - self.start_s) / (self.end_s - self.start_s), 0.0), 1.0)


@dataclass(frozen=True)
class ObjectState:
    """How an object is at one moment; `turn_rad` is how far it has spun, clockwise on the screen."""

    x: float
    y: float
    radius: float
    color: str
    turn_rad: float = 0.0
    exists: bool = True


class SceneObject(_Record):
    """A coloured shape, where it first stands, and what happens to it."""

    shape: str
    color: str
    radius: float = Field(gt=0, lt=0.5)
    center: tuple[float, float]
    events: tuple[Event, ...] = Field(default=(), max_length=1)

    @model_validator(mode="after")
    def _fits(self) -> SceneObject:
        if self.shape not in SHAPES:
            raise ValueError(f"want a shape of {', '.join(SHAPES)}, got {self.shape!r}")
        if self.color not in COLORS:
            raise ValueError(f"want a color of {', '.join(COLORS)}, got {self.color!r}")
        if self.event and self.event.to_color == self.color:
            raise ValueError(f"'recolors' wants another to_color than the object's own, {self.color!r}")
        if self.event and self.event.to_radius is not None:
            grows = self.event.to_radius > self.radius
            if grows != (self.event.kind == "grows"):
                raise ValueError(f"{self.event.kind!r} from radius {self.radius} to {self.event.to_radius}")
        if self.event and self.event.kind == "spins" and self.shape == "circle":
            raise ValueError("nobody can see a circle spin")
        return self

    @property
    def event(self) -> Event | None:
        """What happens to the object; None where it stands still."""
        return self.events[0] if self.events else None

    @property
    def size(self) -> str:
        """The size word whose range is nearest to the first radius."""
        return min(SIZES, key=lambda name: abs(sum(SIZES[name]) / 2 - self.radius))

    def state(self, time_s: float) -> ObjectState:
        """Give how the object is at a time of the shot."""
        (x, y), event = self.center, self.event
        if event is None:
            return ObjectState(x, y, self.radius, self.color)
        share = event.progress(time_s)
        radius, color, turn = self.radius, self.color, 0.0
        exists = not ((event.kind == "appears" and share < 1) or (event.kind == "disappears" and share >= 1))
        if event.direction is not None and event.distance is not None:
            step_x, step_y = DIRECTIONS[event.direction]
            x, y = x + step_x * event.distance * share, y + step_y * event.distance * share
            if event.kind == "bounces":
                x, y = _reflected(x, radius), _reflected(y, radius)
        elif event.to_radius is not None:
            radius += (event.to_radius - radius) * share
        elif event.to_color is not None and share >= 1:
            color = event.to_color
        elif event.turn_deg is not None:
            turn = math.radians(event.turn_deg) * share
        return ObjectState(x, y, radius, color, turn, exists)


def _reflected(coordinate: float, radius: float) -> float:
    """Fold a coordinate back at the edges that the object's rim touches."""
    if coordinate > 1 - radius:
        return 2 * (1 - radius) - coordinate
    return 2 * radius - coordinate if coordinate < radius else coordinate


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
    objects: tuple[SceneObject, ...] = Field(min_length=1, max_length=4)

    @model_validator(mode="after")
    def _fits(self) -> Shot:
        for number, item in enumerate(self.objects):
            if item.event is not None:
                self._check(number, item, item.event)
        shown = [c for o in self.objects for c in (o.color, o.event.to_color if o.event else None) if c]
        if len(set(shown)) != len(shown):
            raise ValueError(f"colors are unique within a shot, or nobody could tell objects apart: {shown}")
        return self

    def _check(self, number: int, item: SceneObject, event: Event) -> None:
        if event.end_s > self.duration_s + 1e-6:
            raise ValueError(f"an event ends at {event.end_s} s, after its shot ({self.duration_s} s)")
        lasts = event.end_s >= self.duration_s - END_SLACK_S
        if event.kind in _LASTING and not lasts:
            raise ValueError(
                f"{event.kind!r} lasts to the end of its shot ({self.duration_s} s), got {event.end_s}; "
                "what comes to rest before is 'stops'"
            )
        if event.kind == "stops" and lasts:
            raise ValueError("'stops' ends before its shot does; what lasts to the end is 'moves'")
        begin, end = item.state(0.0), item.state(self.duration_s)
        if event.kind == "enters" and not (_is_outside(begin) and _is_inside(end)):
            raise ValueError("'enters' begins outside the picture and ends inside")
        if event.kind == "leaves" and not (_is_inside(begin) and _is_outside(end)):
            raise ValueError("'leaves' begins inside the picture and ends outside")
        if event.kind in ("hits", "pushed"):
            self._check_contact(number, event)

    def _check_contact(self, number: int, event: Event) -> None:
        partner = event.partner if event.partner is not None else -1
        if partner >= len(self.objects) or partner == number:
            raise ValueError(f"{event.kind!r}: this shot has no other object number {partner}")
        other = self.objects[partner].event
        wanted = "pushed" if event.kind == "hits" else "hits"
        if other is None or other.kind != wanted or other.partner != number:
            raise ValueError(f"{event.kind!r} wants its partner's event to be {wanted!r}, with it as partner")
        if other.direction != event.direction:
            raise ValueError("who is pushed moves on in the direction of the one that hits")
        hits, pushed = (event, other) if event.kind == "hits" else (other, event)
        if abs(hits.end_s - pushed.start_s) > CONTACT_SLACK_S:
            raise ValueError(f"a push starts ({pushed.start_s} s) when the hit ends ({hits.end_s} s)")


def _is_inside(state: ObjectState) -> bool:
    return all(state.radius <= c + 1e-6 and c <= 1 - state.radius + 1e-6 for c in (state.x, state.y))


def _is_outside(state: ObjectState) -> bool:
    return any(c <= -state.radius + 1e-6 or c >= 1 + state.radius - 1e-6 for c in (state.x, state.y))


class Scene(_Record):
    """A whole clip. `noise` is the sensor's, in grey values; `crf` is H.264's, larger is coarser."""

    width_px: int = Field(default=128, ge=16, le=4096)
    height_px: int = Field(default=128, ge=16, le=4096)
    fps: float = Field(default=25.0, gt=0, le=120)
    seed: int = 0
    noise: float = Field(default=0.0, ge=0, le=64)
    crf: int = Field(default=23, ge=0, le=40)
    shots: tuple[Shot, ...] = Field(min_length=1, max_length=3)

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
        number, in_shot_s = self.shot_number_at(time_s)
        return self.shots[number], in_shot_s

    def shot_number_at(self, time_s: float) -> tuple[int, float]:
        """Give the number of the shot shown at a time of the clip, and the time within that shot."""
        begin_s = 0.0
        for number, shot in enumerate(self.shots[:-1]):
            # frame times and cuts are sums of rounded numbers: a microsecond decides nothing
            if time_s < begin_s + shot.duration_s - 1e-6:
                return number, time_s - begin_s
            begin_s += shot.duration_s
        return len(self.shots) - 1, time_s - begin_s


def scene_schema() -> dict[str, Any]:
    """Give the JSON Schema of a scene document."""
    return {**Scene.model_json_schema(), "title": "Valley scene"}


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
    words = json.dumps(scene.model_dump(mode="json", exclude_none=True), indent=1)
    write_whole(path, words + "\n")
