"""Answering: conversations in, streamed words out."""
