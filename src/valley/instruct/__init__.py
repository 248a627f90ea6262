"""Conversations about collected clips, written by a language model and checked against what is known."""
