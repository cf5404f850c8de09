"""The blind user study: people rate explanations without knowing which network, dataset or method made them."""
