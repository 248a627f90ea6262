"""The tokenizer of the 2023 checkpoints: SentencePiece pieces, split at added tokens as in 2023.

What `AutoTokenizer` makes of the same files gives other ids: it keeps white space beside added tokens, and
puts no word boundary behind them.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from valley.errors import MissingExtraError

from .errors_valley import PartsError

BOUNDARY = "\N{LOWER ONE EIGHTH BLOCK}"
_SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")


def read_published_tokenizer(folder: Path, *, max_length: int) -> PreTrainedTokenizerFast:
    """Make a fast tokenizer that gives the published ids.

    Every stretch between added tokens begins with a word boundary, and white space beside an added token is
    dropped; except beside those that special_tokens_map.json spells out as objects.

    Args:
        folder: holds tokenizer.model, special_tokens_map.json and added_tokens.json.
        max_length: how many tokens the language model takes.

    Raises:
        PartsError: a file is absent or damaged, or the pieces were not made by byte pair encoding.
        MissingExtraError: the package sentencepiece, which reads the file, is not installed.
    """
    pieces, scores = _read_pieces(folder / "tokenizer.model")
    special = _read_json(folder / "special_tokens_map.json")
    added = _read_json(folder / "added_tokens.json", absent={})
    names = {n: _content(special[n]) for n in _SPECIAL_NAMES if special.get(n) is not None}
    if "unk_token" not in names:
        raise PartsError(f"{folder / 'special_tokens_map.json'}: names no unk_token")
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(
        models.BPE(
            vocabulary,
            _merges(vocabulary, scores),
            unk_token=names["unk_token"],
            fuse_unk=True,
            byte_fallback="<0x00>" in vocabulary,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [normalizers.Prepend(BOUNDARY), normalizers.Replace(" ", BOUNDARY)]
    )
    tokenizer.decoder = decoders.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [decoders.Replace(BOUNDARY, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    objects = {_content(token) for token in special.values() if isinstance(token, Mapping)}
    for content in _in_order(names.values(), added, vocabulary):
        strips = content not in objects
        tokenizer.add_special_tokens([AddedToken(content, normalized=False, lstrip=strips, rstrip=strips)])
    wrong = {c: (n, tokenizer.token_to_id(c)) for c, n in added.items() if tokenizer.token_to_id(c) != n}
    if wrong:
        raise PartsError(f"{folder / 'added_tokens.json'}: the ids leave gaps (name: wanted, got): {wrong}")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        padding_side="right",
        clean_up_tokenization_spaces=False,
        **names,
    )


def _read_pieces(path: Path) -> tuple[list[str], list[float]]:
    if not path.is_file():
        raise PartsError(f"{path}: there is no such file, want the checkpoint's SentencePiece model")
    try:
        sentencepiece: Any = importlib.import_module("sentencepiece")
    except ImportError as error:
        raise MissingExtraError(
            wanted_by="reading tokenizer.model", package="sentencepiece", extra="convert"
        ) from error
    try:
        model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise PartsError(f"{path}: no SentencePiece model ({error})") from error
    numbers = range(model.get_piece_size())
    scores = [model.get_score(i) for i in numbers]
    if any(score != round(score) for score in scores):
        raise PartsError(f"{path}: want pieces made by byte pair encoding, got a unigram model")
    return [model.id_to_piece(i) for i in numbers], scores


def _merges(vocabulary: Mapping[str, int], scores: Sequence[float]) -> list[tuple[str, str]]:
    """List the pairs that make a piece, the best piece first, as SentencePiece joins them."""
    found = []
    for piece, number in vocabulary.items():
        pairs = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        known = [(a, b) for a, b in pairs if a in vocabulary and b in vocabulary]
        known.sort(key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
        found += [(-scores[number], number, pair) for pair in known]
    found.sort(key=lambda merge: merge[:2])
    return [pair for _, _, pair in found]


def _in_order(names: Iterable[str], added: Mapping[str, int], vocabulary: Mapping[str, int]) -> list[str]:
    """List added tokens by their ids: those of the vocabulary first, so that the others get theirs."""
    wanted = {**added, **{name: vocabulary[name] for name in names if name in vocabulary}}
    return sorted(wanted, key=lambda content: wanted[content])


def _content(token: Any) -> str:  # noqa: ANN401
    return token["content"] if isinstance(token, Mapping) else token


def _read_json(path: Path, *, absent: Any = None) -> Any:  # noqa: ANN401
    if not path.is_file():
        if absent is not None:
            return absent
        raise PartsError(f"{path}: there is no such file")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PartsError(f"{path}: no JSON ({error})") from error
