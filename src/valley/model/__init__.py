"""The Hugging Face family: configuration, network, processors and chat template."""
