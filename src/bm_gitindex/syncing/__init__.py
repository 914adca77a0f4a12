"""One sync: what a run finds, what it plans, how files are taken in, and how both stores are brought up to date.

`session` is the way in. It opens the entity database, and so imports SQLAlchemy, only once it is known that there is
something to store.
"""
