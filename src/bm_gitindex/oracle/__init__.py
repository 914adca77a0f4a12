"""The witnesses of `verify`: files, index, database and links, each looked at by code that a sync does not use."""
