"""The entity database: what the files say, kept in SQL.

`records` and `tie` (with `pathtext` and `sqliteerrors`) are free of SQLAlchemy; the other modules here import it, at a
cost of half a second, so that callers import them only once they know that there is something to store or to fetch:
`store` is the writer's door, `reader` the reader's.
"""
