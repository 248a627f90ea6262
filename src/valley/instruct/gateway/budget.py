"""Money: reserve the worst case before sending, settle by the usage that comes back, never pass the cap.

Sums are whole millionths of a millionth of a dollar, so that many small calls add up exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from valley.errors import ConfigError, ValleyError

PICO = 10**12
TOKENS_IN_PRICE = 10**6


class BudgetSpentError(ValleyError):
    """The cap does not allow another call."""


@dataclass(frozen=True)
class Price:
    """What a million tokens cost, in picodollars."""

    prompt: int
    completion: int

    @classmethod
    def of(cls, prompt_usd: str | float, completion_usd: str | float) -> Price:
        """Take dollars for a million tokens, such as "0.15".

        Raises:
            ConfigError: no number, or a negative one.
        """
        return cls(_pico(prompt_usd), _pico(completion_usd))

    def cost(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Give the price of a call in picodollars, rounded up."""
        total = self.prompt * prompt_tokens + self.completion * completion_tokens
        return -(-total // TOKENS_IN_PRICE)


def _pico(usd: str | float) -> int:
    try:
        value = Decimal(str(usd)) * PICO
    except ArithmeticError as error:
        raise ConfigError(f"a price: want dollars for a million tokens, got {usd!r}") from error
    if not value.is_finite() or value < 0:
        raise ConfigError(f"a price: want dollars for a million tokens, not below 0, got {usd!r}")
    return int(value)


class Budget:
    """What has been spent, what is promised, and what may be; in picodollars and in tokens."""

    def __init__(
        self,
        prices: Mapping[str, Price],
        *,
        max_usd: str | float | None = None,
        max_tokens: int | None = None,
    ) -> None:
        """Set prices by model ("*": any) and the caps.

        Raises:
            ConfigError: there is a cap in dollars and no price.
        """
        if max_usd is not None and not prices:
            raise ConfigError("a cap in dollars needs prices: give what a million tokens cost")
        self.prices = dict(prices)
        self.max_pico = None if max_usd is None else _pico(max_usd)
        self.max_tokens = max_tokens
        self.spent_pico = self.spent_tokens = 0
        self.reserved_pico = self.reserved_tokens = 0

    def price(self, model: str) -> Price | None:
        """Give the price of a model, where it is known."""
        return self.prices.get(model, self.prices.get("*"))

    def cost(self, model: str, prompt_tokens: int, completion_tokens: int) -> int:
        """Give what a call costs in picodollars; 0 where the price is unknown."""
        price = self.price(model)
        return price.cost(prompt_tokens, completion_tokens) if price else 0

    def reserve(self, model: str, prompt_tokens: int, completion_tokens: int) -> int:
        """Promise the worst case of a call, and give it in picodollars.

        Raises:
            BudgetSpentError: the cap would be passed.
            ConfigError: there is a cap in dollars, and nobody knows what this model costs.
        """
        if self.max_pico is not None and self.price(model) is None:
            raise ConfigError(f"a cap in dollars needs the price of {model}")
        cost, tokens = self.cost(model, prompt_tokens, completion_tokens), prompt_tokens + completion_tokens
        after = self.spent_pico + self.reserved_pico + cost
        if self.max_pico is not None and after > self.max_pico:
            raise BudgetSpentError(
                f"the cap is {dollars(self.max_pico)}: {dollars(self.spent_pico)} spent, "
                f"{dollars(self.reserved_pico)} promised, and another call may cost {dollars(cost)}"
            )
        tokens_after = self.spent_tokens + self.reserved_tokens + tokens
        if self.max_tokens is not None and tokens_after > self.max_tokens:
            raise BudgetSpentError(
                f"the cap is {self.max_tokens} tokens: {self.spent_tokens} spent, "
                f"{self.reserved_tokens} promised, and another call may take {tokens}"
            )
        self.reserved_pico += cost
        self.reserved_tokens += tokens
        return cost

    def release(self, reserved_pico: int, reserved_tokens: int) -> None:
        """Take a promise back: the call was not made, or its outcome is settled otherwise."""
        self.reserved_pico -= reserved_pico
        self.reserved_tokens -= reserved_tokens

    def spend(self, pico: int, tokens: int) -> None:
        """Count what was paid."""
        self.spent_pico += pico
        self.spent_tokens += tokens


def dollars(pico: int) -> str:
    """Write a sum, such as "$0.0123"."""
    return f"${Decimal(pico) / PICO:.4f}"
