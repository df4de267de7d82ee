"""What is meant for users: errors whose message says it all."""


class UserError(ValueError):
    """Something that the user gave cannot be used. The message says what was given, what is needed
    and how to fix it, so a command shows it in one line, without a traceback, and exits with 2.

    Any other error, files and the network aside, is a bug, ours or of a user's own task, and keeps
    its traceback.
    """
