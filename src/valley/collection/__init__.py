"""Collecting: from what a person has a right to, to media with words, licences and a manifest.

Nothing here imports torch or transformers.
"""
