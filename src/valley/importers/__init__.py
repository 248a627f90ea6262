"""Conversations in the formats of other projects, one module each in `formats`; see `importer.Importer`."""
