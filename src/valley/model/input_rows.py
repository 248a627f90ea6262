"""From expanded prompts to rows of token ids: encode, cut words, pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .errors_valley import PromptError
from .processor_options import TextOptions
from .prompt_encoding import EncodedPrompt, Prompt, Replacement, encode, pad, padded_length


def encode_sample(
    tokenizer: Any,  # noqa: ANN401
    prompt: Prompt,
    replacements: Sequence[Replacement],
    placeholder_ids: Sequence[int],
    options: TextOptions,
) -> EncodedPrompt:
    """Encode one prompt and cut its words to the wanted length.

    Raises:
        PromptTooLongError: a medium would have to be cut.
    """
    bos = tokenizer.bos_token
    encoded = encode(
        tokenizer,
        prompt,
        replacements,
        placeholder_ids=placeholder_ids,
        add_special_tokens=options.add_special_tokens and not (bos and prompt.text.startswith(bos)),
    )
    if not options.truncation:
        return encoded
    return encoded.truncated(options.length_limit(tokenizer), side=tokenizer.truncation_side)


def as_rows(tokenizer: Any, samples: Sequence[EncodedPrompt], options: TextOptions) -> dict[str, Any]:  # noqa: ANN401
    """Lay samples out as rows: ids, attention mask, kinds of media and, where asked for, who speaks.

    Raises:
        PromptError: rows of different length are to become a tensor without padding.
    """
    rows = _padded(tokenizer, samples, options) if options.padding else _ragged(samples, options)
    if not options.return_assistant_tokens_mask:
        del rows["assistant_masks"]
    return rows


def _padded(tokenizer: Any, samples: Sequence[EncodedPrompt], options: TextOptions) -> dict[str, Any]:  # noqa: ANN401
    at_least = options.length_limit(tokenizer) if options.padding == "max_length" else 0
    lengths = [len(s.input_ids) for s in samples]
    return pad(
        samples,
        pad_token_id=tokenizer.pad_token_id,
        side=options.padding_side or tokenizer.padding_side,
        length=padded_length(lengths, at_least=at_least, multiple_of=options.pad_to_multiple_of),
    )


def _ragged(samples: Sequence[EncodedPrompt], options: TextOptions) -> dict[str, Any]:
    lengths = {len(s.input_ids) for s in samples}
    if options.return_tensors is not None and len(lengths) > 1:
        raise PromptError(f"prompts of {sorted(lengths)} tokens make no tensor without padding")
    rows = [pad([s], pad_token_id=0, side="right", length=len(s.input_ids)) for s in samples]
    return {name: [row[name][0] for row in rows] for name in rows[0]}
