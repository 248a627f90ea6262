"""The truth of a scene is what its pixels show: a second derivation that knows nothing of the scene document.

It reads eight frames as the default sampler would, finds the pixels of each colour, and says from where they
are and how many there are what every object did. It never reads the scene, the truth or the generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from valley.synthetic.dataset import scene_number
from valley.synthetic.render import render_frames
from valley.synthetic.scene import Event, ObjectState, Scene
from valley.synthetic.timing import sampled_times
from valley.synthetic.truth import ObjectTruth, truth_of, truth_of_picture
from valley.synthetic.world import COLORS, DIRECTIONS, LEVELS, SIZES, Level

NUM_SCENES = 150
NEAR = 60  # summed over three channels; the two nearest colours, orange and yellow, are 110 apart
FEWEST_PX = 6  # less is the last sliver of what leaves
STIRS_PX = 1.3  # a centroid that stands still does not move by a third of this
CUT_GREY = 8
CONTACT_PX = 14  # a hit is up to a fifth of a step after its frame: so far apart the two may still be


@dataclass(frozen=True)
class Blob:
    """The pixels of one colour in one frame: bool[height width]."""

    mask: NDArray[np.bool_]

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """Give the first and last column and row."""
        columns, rows = np.flatnonzero(self.mask.any(0)), np.flatnonzero(self.mask.any(1))
        return int(columns[0]), int(columns[-1]), int(rows[0]), int(rows[-1])

    @cached_property
    def area(self) -> int:
        """Count the pixels."""
        return int(self.mask.sum())

    @cached_property
    def center(self) -> NDArray[np.float64]:
        """Give the mean column and row."""
        rows, columns = np.nonzero(self.mask)
        return np.array([columns.mean(), rows.mean()])

    @property
    def is_cut(self) -> bool:
        """Tell whether the picture's edge may hide a part."""
        left, right, top, bottom = self.box
        return min(left, top) == 0 or right == self.mask.shape[1] - 1 or bottom == self.mask.shape[0] - 1

    def travel(self, later: Blob) -> NDArray[np.float64]:
        """Give how far the object has gone, in columns and rows, by its edges that nothing hides."""
        if not self.is_cut and not later.is_cut:
            return later.center - self.center
        ways = []
        for axis, size in enumerate(self.mask.shape[::-1]):
            edges = (
                later.box[k] - self.box[k]
                for k, border in ((2 * axis, 0), (2 * axis + 1, size - 1))
                if border not in (self.box[k], later.box[k])
            )
            ways.append(np.mean(list(edges) or [0.0]))
        return np.array(ways)


@dataclass(frozen=True)
class Seen:
    """What a colour was seen to do in a stretch without a cut; begin and end each lie between two times."""

    event: str
    color: str
    direction: str | None = None
    to_color: str | None = None
    partner: str | None = None
    start_between: tuple[float, float] | None = None
    end_between: tuple[float, float] | None = None


def blobs_of(picture: NDArray[np.integer]) -> dict[str, Blob]:
    found, picture = {}, picture.astype(np.int16)
    bright = picture.max(-1) > 150  # as the background never is
    for color, rgb in COLORS.items():
        mask = bright.copy()
        mask[bright] = np.abs(picture[bright] - np.array(rgb, np.int16)).sum(-1) < NEAR
        if mask.sum() >= FEWEST_PX:
            found[color] = Blob(mask)
    return found


def is_cut_between(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Tell whether the background changes: most of a picture is background."""
    return float(np.median(np.abs(one.astype(np.int16) - other).mean(-1))) > CUT_GREY


def stretches(pixels: NDArray[np.uint8]) -> list[range]:
    firsts = [0] + [k for k in range(1, len(pixels)) if is_cut_between(pixels[k - 1], pixels[k])]
    return [range(a, b) for a, b in zip(firsts, [*firsts[1:], len(pixels)], strict=True)]


def way_of(travel: NDArray[np.float64]) -> str:
    return max(DIRECTIONS, key=lambda name: float(travel @ np.array(DIRECTIONS[name])))


class Stretch:
    """The frames between two cuts: who is where in each, and at which times they are shown."""

    def __init__(self, frames: list[dict[str, Blob]], times_s: list[float], end_s: float) -> None:
        self.frames = frames
        self.times_s = times_s
        self.end_s = end_s

    def told(self) -> list[Seen]:
        """Say what every object did."""
        colors = [c for c in COLORS if any(c in frame for frame in self.frames)]
        turned = {a: b for a in colors for b in colors if a != b and self._turns(a, b)}
        found = [self._alone(c) for c in colors if c not in turned and c not in turned.values()]
        found += [Seen("recolors", a, None, b, None, *self._when(self._first(b))) for a, b in turned.items()]
        return self._collided(found)

    def _track(self, color: str) -> list[Blob]:
        return [frame[color] for frame in self.frames if color in frame]

    def _first(self, color: str) -> int:
        return next(k for k, frame in enumerate(self.frames) if color in frame)

    def _when(self, first_changed: int) -> tuple[tuple[float, float], tuple[float, float]]:
        span = self.times_s[first_changed - 1], self.times_s[first_changed]
        return span, span

    def _turns(self, color: str, to_color: str) -> bool:
        first = self._first(to_color)
        if first == 0 or any(color in frame for frame in self.frames[first:]):
            return False
        before = self.frames[first - 1].get(color)
        after = self.frames[first][to_color]
        return before is not None and bool((before.mask ^ after.mask).sum() < 0.2 * after.area)

    def _alone(self, color: str) -> Seen:
        there = [color in frame for frame in self.frames]
        track = self._track(color)
        steps = [a.travel(b) for a, b in pairwise(track)]
        stirs = [float(np.hypot(*step)) > STIRS_PX for step in steps]
        way = way_of(np.sum(steps, axis=0)) if any(stirs) else None
        if not there[0]:
            first = there.index(True)
            if way is None and not track[0].is_cut:
                return Seen("appears", color, None, None, None, *self._when(first))
            return Seen("enters", color, way, start_between=self._span(max(first - 2, 0), first))
        if not there[-1]:
            gone = there.index(False)
            if way is None and not track[-1].is_cut:
                return Seen("disappears", color, None, None, None, *self._when(gone))
            return Seen("leaves", color, way, None, None, self._begins(stirs), self._span(gone - 1, gone))
        return self._stays(color, track, steps, stirs)

    def _stays(
        self, color: str, track: list[Blob], steps: list[NDArray[np.float64]], stirs: list[bool]
    ) -> Seen:
        areas = np.array([blob.area for blob in track], np.float64)
        shrinks, grows = areas[-1] < 0.75 * areas[0], areas[-1] > 1.33 * areas[0]
        if shrinks or grows:
            changes = (np.abs(np.diff(areas)) > 0.02 * areas[:-1]).tolist()
            return Seen("grows" if grows else "shrinks", color, start_between=self._begins(changes))
        if not any(stirs):
            return self._at_its_place(color, track)
        moved = [step for step, stir in zip(steps, stirs, strict=True) if stir]
        if any(float(a @ b) < 0 for a, b in pairwise(moved)):
            return Seen("bounces", color, way_of(moved[0]), start_between=self._begins(stirs))
        way, begins = way_of(np.sum(moved, axis=0)), self._begins(stirs)
        if stirs[-1]:
            return Seen("moves", color, way, start_between=begins)
        rests = len(stirs) - stirs[::-1].index(True)
        return Seen(
            "stops", color, way, None, None, begins, self._span(rests - 1, min(rests + 1, len(stirs)))
        )

    def _at_its_place(self, color: str, track: list[Blob]) -> Seen:
        """A centroid that rests: of a still object no pixel changes, of one that spins many do."""
        changed = [bool((a.mask ^ b.mask).sum() > 0.04 * a.area) for a, b in pairwise(track)]
        return (
            Seen("spins", color, start_between=self._begins(changed))
            if any(changed)
            else Seen("still", color)
        )

    def _begins(self, changes: list[bool]) -> tuple[float, float]:
        first = changes.index(True)
        return self._span(max(first - 1, 0), first + 1)

    def _span(self, first: int, last: int) -> tuple[float, float]:
        return self.times_s[first], self.times_s[last]

    def _collided(self, found: list[Seen]) -> list[Seen]:
        """Make a hit of what comes to rest at something that then begins to move the same way."""
        for hitter in [s for s in found if s.event == "stops"]:
            for other in [s for s in found if s.event == "moves" and s.direction == hitter.direction]:
                if (
                    hitter.end_between is None
                    or other.start_between is None
                    or not self._touch(hitter, other)
                ):
                    continue
                found = [s for s in found if s not in (hitter, other)]
                found.append(self._paired(hitter, "hits", other.color))
                found.append(self._paired(other, "pushed", hitter.color))
        return found

    @staticmethod
    def _paired(seen: Seen, event: str, partner: str) -> Seen:
        return Seen(event, seen.color, seen.direction, None, partner, seen.start_between, seen.end_between)

    def _touch(self, hitter: Seen, other: Seen) -> bool:
        """Tell whether they were next to each other in some frame, the one that comes to rest behind."""
        nearest = []
        for frame in self.frames:
            if hitter.color in frame and other.color in frame:
                one, two = (np.argwhere(frame[c].mask) for c in (hitter.color, other.color))
                nearest.append(np.sqrt(((one[:, None] - two[None]) ** 2).sum(-1).min()))
        ahead = self.frames[0][other.color].center - self.frames[0][hitter.color].center
        return min(nearest) < CONTACT_PX and float(ahead @ np.array(DIRECTIONS[hitter.direction or ""])) > 0


def seen_in(scene: Scene) -> list[list[Seen]]:
    """Say what eight frames of a scene show, a list a shot."""
    times_s = sampled_times(scene.num_frames, scene.fps)
    pixels = render_frames(scene.model_copy(update={"noise": 0.0}), times_s).pixels
    frames = [blobs_of(picture) for picture in pixels]
    end_s = scene.num_frames / scene.fps
    return [Stretch([frames[k] for k in s], [times_s[k] for k in s], end_s).told() for s in stretches(pixels)]


def disagreement(item: ObjectTruth, seen: Seen, step_s: float) -> str:
    """Say in what the truth is another than what is seen; nothing if they agree."""
    partner = item.partner[0] if item.partner else None
    for name, true, said in (
        ("event", item.event, seen.event),
        ("direction", item.direction, seen.direction),
        ("to_color", item.to_color, seen.to_color),
        ("partner", partner, seen.partner),
    ):
        if true != said:
            return f"{name} is {true}, seen {said}"
    for name, true_s, span in (
        ("start", item.start_s, seen.start_between),
        ("end", item.end_s, seen.end_between),
    ):
        if span is not None and (true_s is None or not span[0] - step_s <= true_s <= span[1] + 1e-3):
            return f"{name} is {true_s}, seen between {span}"
    return ""


@pytest.mark.parametrize("level", LEVELS)
def test_the_truth_is_what_the_pixels_show(level: Level) -> None:
    checked, wrong = 0, []
    for index in range(NUM_SCENES):
        scene = scene_number(4711, index, level=level, combinations="any")
        truth, seen = truth_of(scene), seen_in(scene)
        step_s = scene.duration_s / 7
        assert len(seen) == len(truth.shots), (index, seen)
        for shot, told in zip(truth.shots, seen, strict=True):
            assert {s.color for s in told} == {o.color for o in shot.objects}, (index, told)
            for item in shot.objects:
                one = next(s for s in told if s.color == item.color)
                problem = disagreement(item, one, step_s)
                checked += 1
                wrong += [(index, item.color, item.shape, item.event, problem)] if problem else []
    assert checked > NUM_SCENES * 1.5
    # Seen to differ, 3 of 756: triangles that leave. Their radius is that of the circle around them, so the
    # last pixel goes before that circle has left, by up to a frame and a half where they are slow.
    assert len(wrong) <= 0.01 * checked, "\n".join(map(str, wrong))


@pytest.mark.parametrize("level", LEVELS)
def test_the_truth_of_a_picture_is_what_it_shows(level: Level) -> None:
    found = 0
    for index in range(60):
        scene = scene_number(4712, index, level=level, combinations="any")
        time_s = 0.73 * scene.duration_s
        truth = truth_of_picture(scene, time_s)
        shown = blobs_of(render_frames(scene.model_copy(update={"noise": 0.0}), [time_s]).pixels[0])
        if truth is None:
            continue
        found += 1
        assert truth.is_image
        assert {o.color for o in truth.objects} == set(shown), index
        assert not any(blob.is_cut for blob in shown.values()), index
        # 0.13 of the picture's width lies between the two ranges of radii, for every shape
        reach = {c: (b.box[1] - b.box[0]) / scene.width_px / 2 for c, b in shown.items() if b.area}
        spins = any(o.event and o.event.kind == "spins" for o in scene.shot_at(time_s)[0].objects)
        for item in truth.objects:
            shrunk = {"square": 0.86, "triangle": 0.866}.get(item.shape, 1.0)
            if not spins:
                assert (reach[item.color] / shrunk > 0.135) == (item.size == "big"), (index, item)
    assert found > 20


_seeds, _levels = st.integers(0, 10**6), st.sampled_from(LEVELS)


def is_outside(state: ObjectState) -> bool:
    """Tell whether a part may be outside the picture."""
    return not all(state.radius <= c <= 1 - state.radius for c in (state.x, state.y))


def speed_of(event: Event | None) -> float:
    if event is None or event.distance is None:
        return 0.0
    return event.distance / (event.end_s - event.start_s)


@settings(max_examples=25, deadline=None)
@given(seed=_seeds, level=_levels)
def test_objects_go_steadily_and_wait_for_their_time(seed: int, level: Level) -> None:
    scene = scene_number(seed, 0, level=level, combinations="any")
    for shot in scene.shots:
        times_s = np.linspace(0, shot.duration_s, 30)
        for item in shot.objects:
            longest = speed_of(item.event) * (times_s[1] - times_s[0]) + 1e-9
            track = [item.state(t) for t in times_s.tolist()]
            assert all(math.hypot(b.x - a.x, b.y - a.y) <= longest for a, b in pairwise(track))
            if item.event is not None and item.event.start_s > 0:
                assert item.state(item.event.start_s - 1e-9) == item.state(0.0)


@settings(max_examples=25, deadline=None)
@given(seed=_seeds, level=_levels)
def test_objects_are_inside_but_for_those_that_come_and_go(seed: int, level: Level) -> None:
    scene = scene_number(seed, 1, level=level, combinations="any")
    for shot in scene.shots:
        times_s = np.linspace(0, shot.duration_s, 30).tolist()
        for item in shot.objects:
            outside = [is_outside(item.state(t)) for t in times_s]
            match item.event.kind if item.event else "still":
                case "enters":
                    assert outside == sorted(outside, reverse=True)
                    assert outside[0]
                case "leaves":
                    assert outside == sorted(outside)
                    assert outside[-1]
                case "bounces":
                    states = [item.state(t) for t in times_s]
                    assert all(s.radius - 1e-4 <= min(s.x, s.y, 1 - s.x, 1 - s.y) for s in states)
                case _:
                    assert not any(outside)


@settings(max_examples=25, deadline=None)
@given(seed=_seeds, level=_levels)
def test_sizes_keep_their_word_and_cuts_lie_between_frames(seed: int, level: Level) -> None:
    scene = scene_number(seed, 2, level=level, combinations="any")
    seen_s = sampled_times(scene.num_frames, scene.fps)
    shown = [scene.shot_number_at(t)[0] for t in seen_s]
    assert shown == sorted(shown)
    assert all(shown.count(number) >= 2 for number in range(len(scene.shots)))
    cuts_s = np.cumsum([shot.duration_s for shot in scene.shots])[:-1]
    assert np.abs(np.subtract.outer(cuts_s, seen_s)).min(initial=1.0) > 1e-3
    for item in (item for shot in scene.shots for item in shot.objects):
        low, high = SIZES[item.size]
        assert low <= item.radius <= high
