"""Ways to run the jobs of a collection, one module each; see `valley.collection.executor`."""

from valley.errors import ConfigError


def without_cluster(name: str, address: str) -> None:
    """Refuse the address of a cluster.

    Raises:
        ConfigError: there is one.
    """
    if address:
        raise ConfigError(
            f"the executor {name} runs on this machine alone, got the address {address!r}: leave it out, or "
            "take the executor ray"
        )
