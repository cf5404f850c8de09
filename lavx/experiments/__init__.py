"""Everything that knows the outputs folder: composing, running, resuming, reading results."""
