"""Checks of writing conversations, one file each; see `valley.instruct.check`."""
