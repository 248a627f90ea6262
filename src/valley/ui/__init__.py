"""The web page: it speaks HTTP to any OpenAI-compatible server, and knows nothing of models."""
