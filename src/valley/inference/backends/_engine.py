"""One thread that owns the network: rows wait, are read, run together, and go, each at its own time.

A turn of the thread lets go who has ended, takes in who waits, computes a bounded piece of new prompts, and
then one token for everyone who runs. The thread lives while there are rows, and no longer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import torch

from valley.errors import BackendError, EngineUnavailableError
from valley.inference.backends._batch import Batch, Group
from valley.inference.backends._row import Row, RowMedium

# Tokens of new prompts between two steps of the rows that run: for so long their words stop. On one CPU
# thread 512 tokens take as long as 6 steps of eight rows (valley-mini) or 12 (a Llama of 135M parameters); a
# token costs as much in a piece of 256, more in one of 64: `python benchmarks/prefill.py`. It was not
# measured on a GPU, where reading the weights counts for more. With nobody running there is no limit.
MAX_PREFILL_TOKENS = 512
# Frames that go through the vision tower at once: eight clips of eight frames. A longer clip goes alone.
MAX_FRAMES = 64


class Engine:
    """Answers rows together."""

    def __init__(
        self,
        batch: Batch,
        *,
        max_batch_size: int,
        forget: Callable[[], None],
        out_of_memory: Callable[[Row], BackendError],
        name: str,
    ) -> None:
        """Take the network.

        Args:
            batch: makes the passes.
            max_batch_size: rows that run at once.
            forget: gives back the memory of kept work.
            out_of_memory: words the error.
            name: of the model, for errors.
        """
        self._batch = batch
        self._max_batch_size = max_batch_size
        self._forget = forget
        self._out_of_memory = out_of_memory
        self._name = name
        self._changed = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._waiting: deque[Row] = deque()
        self._groups: list[Group] = []
        # While memory is short: fewer rows at once, and every prompt by itself.
        self._most, self._group_size = max_batch_size, max_batch_size
        self._lacks_memory = False  # the step before ran out of it

    def submit(self, row: Row) -> None:
        """Let a row wait for its turn.

        Raises:
            BackendError: the engine was closed.
        """
        with self._changed:
            if self._is_closed:
                raise self._closed()
            self._waiting.append(row)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="valley-engine")
                self._thread.start()

    def close(self) -> None:
        """End what runs; whoever waits gets a `BackendError`."""
        with self._changed:
            self._is_closed, thread = True, self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    @torch.inference_mode()
    def _run(self) -> None:
        while self._goes_on():
            self._turn()

    def _goes_on(self) -> bool:
        """Say whether there is something to do; if not, the thread is over before anyone can ask again."""
        with self._changed:
            if self._is_closed:
                self._fail(self._closed(), also_waiting=True)
            if not (self._waiting or self._groups or self._batch.rows):
                self._thread = None
                return False
        return True

    def _turn(self) -> None:
        try:
            self._note_who_left()
            self._release()
            self._take_in()
            if self._groups:
                self._prepare(self._groups[0])
                self._release()
            if self._batch.rows:
                self._step()
                self._release()
        except BaseException as error:  # noqa: BLE001 - the streams that wait for it raise it
            self._fail(error)

    def _note_who_left(self) -> None:
        """Give up rows that nobody can read any more: the main program has ended, and so has their reader.

        The interpreter waits for this thread; without this it would wait for the last word of every answer.
        """
        if not threading.main_thread().is_alive():
            for row in self._everyone():
                row.is_cancelled = row.is_cancelled or not row.reader.is_alive()

    def _release(self) -> None:
        for row in self._batch.release():
            row.tell()
        if not (self._batch.rows or self._groups or self._waiting):
            self._most = self._group_size = self._max_batch_size

    def _take_in(self) -> None:
        """Group those who wait, as many as may run."""
        free = self._most - len(self._batch.rows) - sum(len(group.rows) for group in self._groups)
        rows: list[Row] = []
        while self._waiting and len(rows) < free:
            row = self._waiting.popleft()
            if not row.is_cancelled:
                rows.append(row)
        if not rows:
            return
        try:
            self._groups += self._batch.group(rows, max_rows=self._group_size)
        except torch.OutOfMemoryError:
            self._again(rows)
        except BaseException as error:  # noqa: BLE001 - their streams raise it; those who run go on
            for row in rows:
                row.fail(error)

    def _prepare(self, group: Group) -> None:
        """Go one piece further with a group: its media, or tokens of its prompts."""
        if all(row.is_cancelled for row in group.rows):
            self._groups.remove(group)
            return
        try:
            if group.unseen:
                self._batch.see(self._next_media())
            elif self._batch.prefill(group, max_tokens=MAX_PREFILL_TOKENS if self._batch.rows else None):
                self._groups.remove(group)
        except torch.OutOfMemoryError:
            self._groups.remove(group)
            self._again(group.rows)
        except BaseException as error:  # noqa: BLE001 - the group's streams raise it; those who run go on
            self._groups.remove(group)
            for row in group.rows:
                row.fail(error)

    def _next_media(self) -> list[RowMedium]:
        """Choose media of all groups, the first one's first, that go through the tower together."""
        chosen: list[RowMedium] = []
        num_frames = 0
        limit = MAX_FRAMES if self._group_size > 1 else 1
        for medium in (m for group in self._groups for m in group.unseen):
            num_frames += len(medium.medium.seen.frames)
            if chosen and num_frames > limit:
                break
            chosen.append(medium)
        return chosen

    def _step(self) -> None:
        try:
            self._batch.step()
            self._lacks_memory = False
        except torch.OutOfMemoryError:
            self._forget()
            if self._lacks_memory or not self._batch.can_batch:
                self._give_up_the_longest()
            self._lacks_memory = True

    def _give_up_the_longest(self) -> None:
        row = self._batch.longest()
        self._batch.drop(row)
        row.fail(self._out_of_memory(row))
        self._most = max(1, len(self._batch.rows))

    def _again(self, rows: list[Row]) -> None:
        """Let rows wait again for which memory ran out: for others to go, then alone, once."""
        self._forget()
        self._group_size = 1
        if self._batch.rows:
            self._most = len(self._batch.rows)
        elif len(rows) == 1:
            (row,) = rows
            if row.is_last_try:
                row.fail(self._out_of_memory(row))
                return
            row.is_last_try = True
        self._waiting.extendleft(reversed(rows))

    def _everyone(self) -> list[Row]:
        in_groups = (row for group in self._groups for row in group.rows)
        return [*self._batch.rows, *in_groups, *self._waiting]

    def _fail(self, error: BaseException, *, also_waiting: bool = False) -> None:
        rows = [*self._batch.clear(), *(row for group in self._groups for row in group.rows)]
        self._groups = []
        if also_waiting:
            rows += self._waiting
            self._waiting.clear()
        for row in rows:
            row.fail(error)

    def _closed(self) -> BackendError:
        return EngineUnavailableError(f"{self._name}: the engine was closed; open the model again")
