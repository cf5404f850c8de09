"""Training networks of mmaction2 with mmengine's Runner.

The modules `runner`, `hook`, `median_score` and `color_jitter` subclass what mmengine and mmaction2 offer. Import
them inside functions, after `lavx.networks.openmmlab.library.load()`; the others import neither.
"""
