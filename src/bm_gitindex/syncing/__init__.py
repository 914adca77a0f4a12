"""One sync: what a run finds, what it plans, how files are taken in, and how both stores are brought up to date.

`session` is the way in. Nothing here but `session` and `storing` imports SQLAlchemy, and those only once they know that
there is something to store.
"""
