"""Fetching one medium: what `valley.collection.fetching` does many times at once."""
