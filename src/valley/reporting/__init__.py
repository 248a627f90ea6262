"""Pages of HTML that need nothing beside them: tables, histograms, one look in light and dark."""
