"""The one error that means: what was asked for cannot be done, and here is what can."""


class RequestError(Exception):
    """An unusable request. Its message says what was given, what is allowed and what to do; exit status 2."""
