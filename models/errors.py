"""The error that unusable settings of a model raise."""


class ModelError(ValueError):
    """What a model was given can't be used; the message names the parameter, what was found and what to do."""
