"""The networks of mmaction2: the only modules that import OpenMMLab, with those of training."""
