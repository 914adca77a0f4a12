"""What can go wrong, one class per failing operation; each knows the exit code of its command.

The codes are those of the command line: 2 usage, 4 locked, 5 safety stop, 6 state damaged or unsupported.
A message is one line: what happened, to which file, and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class BmGitIndexError(Exception):
    """Base of every error that this package raises on purpose."""

    exit_code: ClassVar[int] = 6


class UsageError(BmGitIndexError):
    """The request itself is wrong: an unknown option, a path outside the root."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration file or an option's value cannot be used."""


class NotFoundError(BmGitIndexError):
    """No entity answers to the name that was asked for."""

    exit_code = 1


class LockHeldError(BmGitIndexError):
    """Another process is writing, and did not finish within the time allowed."""

    exit_code = 4


class SafetyStopError(BmGitIndexError):
    """The change looks like an accident (root gone or emptied, mass deletion); nothing was changed."""

    exit_code = 5


class RootMissingError(SafetyStopError):
    """The project's root folder does not exist or is not a folder."""


class IndexDamagedError(BmGitIndexError):
    """The bytes are not an index that can be trusted."""


class IndexUnsupportedError(BmGitIndexError):
    """A valid git index of a kind that is not read here: split, sparse, or of a future version."""


class StateFolderError(BmGitIndexError):
    """The state folder cannot be created or used, or belongs to another program."""


class StateWriteError(BmGitIndexError):
    """The state could not be written: disk full, permission denied. What was there before stays."""


class DatabaseDamagedError(BmGitIndexError):
    """The entity database is not readable as one."""


class DatabaseServerError(BmGitIndexError):
    """The database server cannot be reached, refuses to serve, or holds something else. Nothing was lost."""


class EntityMissingError(BmGitIndexError):
    """The entity database lacks a row that the index vouches for; comparing everything mends it."""


class SchemaUnsupportedError(BmGitIndexError):
    """The entity database was written by a newer release."""


class ForeignDatabaseError(UsageError):
    """The database of another program that was named is none, is damaged, or lacks what was asked for."""
