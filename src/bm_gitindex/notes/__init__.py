"""Notes: bytes to values. Pure: nothing here opens a file, reads the environment or asks for the time.

`parser` turns the bytes of a note into a `ParsedNote`; `permalink` and `links` say how notes are named and found.
Nothing is imported here, so that a caller with nothing to parse pays for no parser.
"""
