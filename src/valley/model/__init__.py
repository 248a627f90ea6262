"""The Hugging Face family: config, networks, poolings, processor."""
