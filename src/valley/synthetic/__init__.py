"""Clips with known content: a scene document, its rendering, its ground truth, and questions about it."""
