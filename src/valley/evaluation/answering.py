"""Many questions to one engine: several at once, each answer written down before the next is begun."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from valley.errors import BackendError, ConversationError, MediaError, SamplingError, ValleyError
from valley.evaluation.asking import Asker, Question
from valley.evaluation.records import to_json
from valley.journal import Journal

MOST_FAILURES_IN_A_ROW = 8
"""A server that is gone, or a model that cannot do this at all, fails them all; a bad file fails alone."""

_FAILURES = (ValleyError, OSError, ValueError, RuntimeError, LookupError)
_OF_THE_QUESTION = (MediaError, SamplingError, ConversationError)


class Answering:
    """Asks questions and writes the answers into a journal."""

    def __init__(self, asker: Asker, journal: Journal, on_answer: Callable[[], None]) -> None:
        """Take who asks, where answers go, and what to call after each."""
        self._asker = asker
        self._journal = journal
        self._on_answer = on_answer
        self._lock = threading.Lock()
        self._num_failed_in_a_row = 0
        self._stopped_by: Exception | None = None

    def answer(self, questions: Sequence[Question], batch_size: int) -> None:
        """Answer all questions, so many at once.

        Raises:
            BackendError: the engine failed so often in a row that it will fail for all.
        """
        pool = ThreadPoolExecutor(batch_size, thread_name_prefix="valley-eval")
        try:
            for done in [pool.submit(self._answer, question) for question in questions]:
                done.result()
        finally:
            with self._lock:
                self._stopped_by = self._stopped_by or BackendError("the run was stopped")
            pool.shutdown(wait=True, cancel_futures=True)

    def _answer(self, question: Question) -> None:
        if self._stopped_by is not None:
            raise self._stopped_by
        try:
            record = self._asker.ask(question)
        except _FAILURES as error:
            self._note_failure(error)
            failed = self._asker.failed(question, error)
            with self._lock:
                self._journal.append(question.key, {"fault": to_json(failed)})
        else:
            with self._lock:
                self._num_failed_in_a_row = 0
                self._journal.append(question.key, to_json(record))
        with self._lock:
            self._on_answer()

    def _note_failure(self, error: Exception) -> None:
        if isinstance(error, _OF_THE_QUESTION):
            return
        with self._lock:
            self._num_failed_in_a_row += 1
            if self._num_failed_in_a_row >= MOST_FAILURES_IN_A_ROW and self._stopped_by is None:
                self._stopped_by = BackendError(
                    f"{MOST_FAILURES_IN_A_ROW} questions in a row failed, so the run stops; mend the cause "
                    f"and give the same command again: {' '.join(str(error).split()) or type(error).__name__}"
                )
        if self._stopped_by is not None:
            raise self._stopped_by from error
