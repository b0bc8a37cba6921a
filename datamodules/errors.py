"""The error for unusable data; this module imports nothing."""


class DataError(ValueError):
    """A parameter or the data of a datamodule can't be used; the message says what was found and what to do."""
