"""Conversations in the formats of other projects, one module a format; see `importer.Importer`."""
