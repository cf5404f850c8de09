"""Training a network of mmaction2 with mmengine's Runner."""
