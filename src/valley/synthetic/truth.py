"""What is true of a scene: derived from the document alone, never written by hand."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from valley.synthetic.scene import Scene, SceneObject, Shot
from valley.synthetic.world import COLORS

DELAY_S = 0.25
"""A motion that begins this long after its shot began is seen to begin."""

_ORDER = {color: number for number, color in enumerate(COLORS)}


@dataclass(frozen=True)
class ObjectTruth:
    """The facts about one object.

    Attributes:
        color: a name of `COLORS`; the first one where it changes.
        shape: one of `SHAPES`.
        size: "small" or "big"; None where it grows or shrinks.
        event: one of `EVENTS`.
        direction: where it travels; None where it does not.
        to_color: what colour it turns.
        partner: (color, shape) of the object that it hits, or that pushes it.
        start_s: clip time at which the event begins; None where there is none.
        end_s: clip time at which it ends.
        delayed: it is seen to stand still before the event begins.
        shot: number of its shot, from 0.
    """

    color: str
    shape: str
    size: str | None
    event: str = "still"
    direction: str | None = None
    to_color: str | None = None
    partner: tuple[str, str] | None = None
    start_s: float | None = None
    end_s: float | None = None
    delayed: bool = False
    shot: int = 0


@dataclass(frozen=True)
class ShotTruth:
    """The facts about one shot: when it is shown, and its objects in the order of `COLORS`."""

    start_s: float
    end_s: float
    objects: tuple[ObjectTruth, ...]


@dataclass(frozen=True)
class Truth:
    """The facts about a clip, about a picture taken from it, or about footage of another world."""

    shots: tuple[ShotTruth, ...]
    is_image: bool = False
    foreign: bool = False

    @property
    def objects(self) -> tuple[ObjectTruth, ...]:
        """The objects of all shots, in order."""
        return tuple(item for shot in self.shots for item in shot.objects)

    def to_record(self) -> dict[str, object]:
        """Give the facts as a JSON-ready object."""
        return asdict(self)


FOREIGN = Truth((), foreign=True)
"""The only thing known about footage that is not of this world."""


def truth_of(scene: Scene) -> Truth:
    """Derive the facts about a clip."""
    shots, begin_s = [], 0.0
    for number, shot in enumerate(scene.shots):
        facts = [_facts(item, shot, number, begin_s) for item in shot.objects]
        end_s = round(begin_s + shot.duration_s, 3)
        shots.append(ShotTruth(round(begin_s, 3), end_s, tuple(sorted(facts, key=_by_color))))
        begin_s += shot.duration_s
    return Truth(tuple(shots))


def truth_of_picture(scene: Scene, time_s: float) -> Truth | None:
    """Derive the facts about the picture at a time.

    None where the picture has no single truth: an object is cut by its edge, has a size between small and
    big, or no object is there.
    """
    shot, in_shot_s = scene.shot_at(time_s)
    seen: list[ObjectTruth] = []
    for item in shot.objects:
        state = item.state(in_shot_s)
        if not state.exists:
            continue
        if any(not state.radius <= c <= 1 - state.radius for c in (state.x, state.y)):
            return None
        if item.event is not None and item.event.to_radius is not None:
            return None
        seen.append(ObjectTruth(state.color, item.shape, item.size))
    if not seen:
        return None
    return Truth((ShotTruth(0.0, 0.0, tuple(sorted(seen, key=_by_color))),), is_image=True)


def _by_color(item: ObjectTruth) -> int:
    return _ORDER[item.color]


def _facts(item: SceneObject, shot: Shot, number: int, begin_s: float) -> ObjectTruth:
    event = item.event
    if event is None:
        return ObjectTruth(item.color, item.shape, item.size, shot=number)
    partner = shot.objects[event.partner] if event.partner is not None else None
    return ObjectTruth(
        color=item.color,
        shape=item.shape,
        size=None if event.to_radius is not None else item.size,
        event=event.kind,
        direction=event.direction,
        to_color=event.to_color,
        partner=(partner.color, partner.shape) if partner else None,
        start_s=round(begin_s + event.start_s, 3),
        end_s=round(begin_s + event.end_s, 3),
        delayed=event.start_s >= DELAY_S,
        shot=number,
    )
