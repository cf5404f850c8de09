"""The classifiers under explanation. Everything of OpenMMLab stays behind this package."""
