"""The one error that is the caller's to mend."""


class InputError(ValueError):
    """Something given to mechsteer cannot be used; the text says what came and what to do next.

    The command line prints the text alone. Every other exception is a defect and keeps its traceback.
    """
