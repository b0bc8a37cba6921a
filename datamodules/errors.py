"""The error that unusable images raise."""


class DataError(ValueError):
    """What a datamodule was given can't be used; the message names the parameter, what was found and what to do."""
