"""The two stages, on plain transformers.Trainer."""
