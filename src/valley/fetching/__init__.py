"""Asking the web for media that strangers name: what collecting and serving have in common."""
