"""What is true of a scene: derived from the document alone, never written by hand."""

from __future__ import annotations

from dataclasses import dataclass

from valley.synthetic.scene import Scene, SceneObject
from valley.synthetic.world import COLORS

CELL_MARGIN = 0.04
"""Nobody is asked where an object is whose centre is nearer than this to the edge of a third."""


@dataclass(frozen=True)
class ObjectTruth:
    """The facts about one object.

    Attributes:
        color: a name of `COLORS`.
        shape: one of `SHAPES`.
        size: "small" or "big".
        event: one of `EVENTS`.
        direction: where it travels, None where it does not.
        start_place: (column, row) of the 3 x 3 cell it stands in in the first frame; None where it is not
        wholly
            in the picture or too near the edge of a cell to say.
        end_place: the same for the last frame.
    """

    color: str
    shape: str
    size: str
    event: str
    direction: str | None
    start_place: tuple[int, int] | None
    end_place: tuple[int, int] | None


@dataclass(frozen=True)
class Truth:
    """The facts about a clip (or about the picture taken from it); objects in the order of `COLORS`."""

    objects: tuple[ObjectTruth, ...]
    is_image: bool = False

    def to_record(self) -> dict[str, object]:
        """Give the facts as a JSON-ready object."""
        return {"is_image": self.is_image, "objects": [vars(o) for o in self.objects]}


def truth_of(scene: Scene) -> Truth:
    """Derive the facts about a clip of one shot."""
    return _truth(scene.shots[0].objects, 0.0, (scene.num_frames - 1) / scene.fps, is_image=False)


def truth_of_picture(scene: Scene, time_s: float) -> Truth | None:
    """Derive the facts about the picture at a time; None if an object is cut by the picture's edge then."""
    shot, in_shot_s = scene.shot_at(time_s)
    seen: list[SceneObject] = []
    for item in shot.objects:
        if not item.exists(in_shot_s):
            continue
        inside = [item.radius <= c <= 1 - item.radius for c in item.position(in_shot_s)]
        if not all(inside):
            return None
        seen.append(item)
    return _truth(tuple(seen), in_shot_s, in_shot_s, is_image=True) if seen else None


def place_of(item: SceneObject, time_s: float) -> tuple[int, int] | None:
    """Give the (column, row) of the third of the picture an object stands in, where that can be told."""
    x, y = item.position(time_s)
    inside = all(item.radius <= c <= 1 - item.radius for c in (x, y))
    clear = all(abs(c - edge) > CELL_MARGIN for c in (x, y) for edge in (1 / 3, 2 / 3))
    return (int(x * 3), int(y * 3)) if item.exists(time_s) and inside and clear else None


def _truth(objects: tuple[SceneObject, ...], first_s: float, last_s: float, *, is_image: bool) -> Truth:
    order = list(COLORS)
    facts = [_facts(item, first_s, last_s, is_image=is_image) for item in objects]
    return Truth(tuple(sorted(facts, key=lambda o: order.index(o.color))), is_image)


def _facts(item: SceneObject, first_s: float, last_s: float, *, is_image: bool) -> ObjectTruth:
    event = item.events[0] if item.events and not is_image else None
    return ObjectTruth(
        color=item.color,
        shape=item.shape,
        size=item.size,
        event=event.kind if event else "still",
        direction=event.direction if event else None,
        start_place=place_of(item, first_s),
        end_place=place_of(item, last_s),
    )
