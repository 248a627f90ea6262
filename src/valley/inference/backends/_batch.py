"""The passes of the network for rows that are answered together.

It knows rows and tensors; when which pass is made, and for whom, is `Engine`'s, under whose inference mode
everything here runs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from valley.inference.backends._next_token import choose_all
from valley.inference.backends._one_row_cache import OneRowCache
from valley.inference.backends._row import Row, RowMedium
from valley.inference.backends._rows_cache import KeptRow, RowsCache, can_be_batched
from valley.inference.backends._seeing import Seeing, check_tokens
from valley.inference.prefix import Prefix, PrefixStore
from valley.model.modeling_valley import ValleyForConditionalGeneration


@dataclass(eq=False)
class Group:
    """Rows whose prompts are computed together, on the right of a cache of their own.

    Attributes:
        rows: in the cache's order.
        cache: where they grow.
        num_columns: tokens of each row to compute; a row that needs fewer computes some again, or is padded.
        done: columns computed so far.
    """

    rows: list[Row]
    cache: RowsCache | OneRowCache
    num_columns: int
    done: int = 0

    @property
    def unseen(self) -> list[RowMedium]:
        """List the media that the vision tower has yet to see."""
        return [m for row in self.rows for m in row.media if m.tokens is None and m.medium.end > row.cached]


class Batch:
    """Rows that run, and the cache of their keys and values.

    Attributes:
        rows: those that get a token each step.
        can_batch: whether the model's cache takes several rows.
    """

    def __init__(self, model: ValleyForConditionalGeneration, seeing: Seeing, store: PrefixStore) -> None:
        self.can_batch = can_be_batched(model.config)
        self.rows: list[Row] = []
        self._model = model
        self._seeing = seeing
        self._store = store
        self._cache: RowsCache | OneRowCache | None = None

    def group(self, rows: Sequence[Row], *, max_rows: int) -> list[Group]:
        """Put rows together whose prompts have about the same number of tokens to compute."""
        if not self.can_batch:
            return [self._alone(row) for row in rows]
        found = [(row, self._store.find(row.prompt.keys, scope=row.scope)) for row in rows]
        alike: dict[int, list[tuple[Row, KeptRow | None, int]]] = defaultdict(list)
        for row, match in found:
            kept, known = (None, 0) if match is None else (match[0].cache, match[1])
            assert kept is None or isinstance(kept, KeptRow)
            alike[(len(row.prompt.input_ids) - known).bit_length()].append((row, kept, known))
        chunks = [rows[n : n + max_rows] for rows in alike.values() for n in range(0, len(rows), max_rows)]
        return [self._grouped(chunk) for chunk in chunks]

    def see(self, media: Sequence[RowMedium]) -> None:
        """Run the vision tower; see `Seeing.encode`."""
        self._seeing.encode(media)

    def prefill(self, group: Group, *, max_tokens: int | None) -> bool:
        """Compute the next columns of a group, `max_tokens` over all rows; say whether its rows now run."""
        columns = group.num_columns - group.done
        if max_tokens is not None:
            columns = min(columns, max(1, max_tokens // len(group.rows)))
        for row in group.rows:
            check_tokens(row.media)
        behind = group.num_columns - group.done - columns
        lengths = [max(0, len(row.prompt.input_ids) - behind) for row in group.rows]
        logits = self._forward(group.cache, self._embedded(group.rows, lengths, columns), lengths)
        group.done += columns
        if behind:
            return False
        self._join(group)
        self._take_tokens(group.rows, logits)
        return True

    def step(self) -> None:
        """Compute one more token for every row."""
        assert self._cache is not None
        ids = torch.tensor([[row.token_ids[-1]] for row in self.rows], device=self._model.device)
        lengths = [length + 1 for length in self._cache.lengths]
        embeds = self._model.get_input_embeddings()(ids)
        self._take_tokens(self.rows, self._forward(self._cache, embeds, lengths))

    def release(self) -> list[Row]:
        """Let the rows go that have ended; what was computed for them is kept."""
        gone = [row for row in self.rows if row.has_ended]
        for row in gone:
            self._keep(self.rows.index(row))
            self._remove(row)
        return gone

    def drop(self, row: Row) -> None:
        """Let a row go and keep nothing of it."""
        self._remove(row)

    def longest(self) -> Row:
        """Find the row that holds most memory."""
        assert self._cache is not None
        return self.rows[max(range(len(self.rows)), key=self._cache.lengths.__getitem__)]

    def clear(self) -> list[Row]:
        """Let all rows go and keep nothing of them."""
        gone, self.rows, self._cache = self.rows, [], None
        return gone

    def _alone(self, row: Row) -> Group:
        spans = [(m.start, m.end) for m in row.prompt.media]
        prefix = self._store.take(row.prompt.keys, media=spans, scope=row.scope)
        known = 0 if prefix is None else len(prefix.keys)
        past = None if prefix is None else prefix.cache
        self._recall(row, known)
        cache = OneRowCache(self._model.config, past, known)  # pyright: ignore[reportArgumentType]
        return Group([row], cache, len(row.prompt.input_ids) - known)

    def _grouped(self, found: Sequence[tuple[Row, KeptRow | None, int]]) -> Group:
        columns = max(len(row.prompt.input_ids) - known for row, _, known in found)
        lengths = [max(0, len(row.prompt.input_ids) - columns) for row, _, _ in found]
        cache = RowsCache(self._model.config)
        cache.fill([kept for _, kept, _ in found], lengths)
        for (row, _, _), length in zip(found, lengths, strict=True):
            self._recall(row, length)
        return Group([row for row, _, _ in found], cache, columns)

    def _recall(self, row: Row, known: int) -> None:
        """Note what is known of a row, and look for the visual tokens of the rest of its prompt."""
        row.cached = known
        for medium in row.media:
            if medium.tokens is None and medium.medium.end > known:
                self._seeing.recall(medium)

    def _embedded(self, rows: Sequence[Row], lengths: Sequence[int], columns: int) -> Tensor:
        """Embed the `columns` tokens before `lengths`; before a row begins is padding."""
        first = [length - columns for length in lengths]
        ids = [
            [0] * max(0, -start) + list(row.prompt.input_ids[max(0, start) : length])
            for row, start, length in zip(rows, first, lengths, strict=True)
        ]
        embeds = self._model.get_input_embeddings()(torch.tensor(ids, device=self._model.device))
        for number, (row, start, length) in enumerate(zip(rows, first, lengths, strict=True)):
            for medium in row.media:
                places = medium.medium.placeholders
                begin, end = bisect_left(places, start), bisect_left(places, length)
                if begin == end:
                    continue
                assert medium.tokens is not None
                embeds[number, [p - start for p in places[begin:end]]] = medium.tokens[begin:end].to(embeds)
        return embeds

    def _forward(self, cache: RowsCache | OneRowCache, embeds: Tensor, lengths: Sequence[int]) -> Tensor:
        """Run the language model over new columns; give logits f[row vocabulary] behind the newest."""
        width, columns = cache.begin(), embeds.shape[1]
        ends = torch.tensor(lengths, device=embeds.device)[:, None]
        places = torch.arange(width + columns, device=embeds.device)
        positions = ends - columns + places[:columns]
        try:
            outputs = self._model(
                inputs_embeds=embeds,
                attention_mask=(places >= width + columns - ends).long(),
                position_ids=positions.clamp(min=0),
                past_key_values=cache.past,
                use_cache=True,
                logits_to_keep=1,
            )
        except torch.OutOfMemoryError:
            if isinstance(cache, RowsCache):
                cache.rewind(width)
            raise
        cache.advanced(lengths)
        return outputs.logits[:, -1].float()

    def _take_tokens(self, rows: Sequence[Row], logits: Tensor) -> None:
        tokens = choose_all([row.choose for row in rows], logits)
        for row, token_id in zip(rows, tokens, strict=True):
            row.push(token_id)

    def _join(self, group: Group) -> None:
        if self.rows:
            assert isinstance(self._cache, RowsCache)
            assert isinstance(group.cache, RowsCache)
            self._cache.join(group.cache)
        else:
            self._cache = group.cache
        self.rows += group.rows

    def _keep(self, number: int) -> None:
        """Keep a row's keys and values for the next prompt."""
        cache, row = self._cache, self.rows[number]
        assert cache is not None
        keys = row.keys[: cache.lengths[number]]
        if isinstance(cache, OneRowCache):
            self._store.give(Prefix(keys, cache.past, cache.num_bytes), scope=row.scope)
        elif self._store.takes(cache.num_bytes_a_token * len(keys)):
            kept = cache.keep(number)
            self._store.give(Prefix(keys, kept, kept.num_bytes), scope=row.scope)

    def _remove(self, row: Row) -> None:
        number, last = self.rows.index(row), len(self.rows) - 1
        if isinstance(self._cache, RowsCache):
            self._cache.remove(number)
        self.rows[number] = self.rows[last]
        self.rows.pop()
        if not self.rows:
            self._cache = None
