"""Caption filters, one module each; `valley.collection.caption_filter` says what one is."""
