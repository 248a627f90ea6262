"""Writing conversations about collected clips with a language model, checked against what is known of them."""
