"""lavx: local agnostic video explanations, by removal."""

__version__ = "0.1.0"
