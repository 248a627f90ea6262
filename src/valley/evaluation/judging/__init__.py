"""Questions to judges that no published benchmark asks: one file a task, which holds its prompt."""
