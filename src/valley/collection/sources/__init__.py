"""Sources of media with words, one file each; see `valley.collection.source.Source`."""
