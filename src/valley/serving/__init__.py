"""Answer over HTTP as OpenAI's API does, for any inference backend."""
