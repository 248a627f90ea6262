"""One module a format; its name is what `valley data convert --from` takes."""
