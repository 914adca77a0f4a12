"""A git index as a value: its entries, its bytes, and what it proves about files.

Everything below here is pure: bytes and integers in, values out. Files, clocks and locks live elsewhere and are
passed in as arguments. Paths are relative to the root, in bytes, separated by `/`, without a leading one.
"""
