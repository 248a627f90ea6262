"""Tasks of writing conversations, one file each; see `valley.instruct.task`."""
