"""What a user can do wrong with a prompt; of Valley's family of errors where the package is installed."""

from __future__ import annotations

try:
    from valley.errors import ConfigError, ConversationError  # pyright: ignore[reportAssignmentType]
except ImportError:  # these files came with a checkpoint to a machine without the package

    class ConfigError(ValueError):  # pyright: ignore[reportRedeclaration]
        """A setting or checkpoint does not fit."""

    class ConversationError(ValueError):  # pyright: ignore[reportRedeclaration]
        """A conversation does not fit."""


class PromptError(ConversationError):
    """Text and media of a prompt do not fit together, or an option is unknown."""


class PromptTooLongError(PromptError):
    """The media alone do not fit into the prompt's length, and a medium is never cut."""


class PartsError(ConfigError):
    """A vision tower, a language model and a tokenizer do not fit together."""


__all__ = ["PartsError", "PromptError", "PromptTooLongError"]
