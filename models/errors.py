"""The error of a model's parameters."""


class ModelError(ValueError):
    """A parameter of a model can't be used; the message says what was given and what to do."""
