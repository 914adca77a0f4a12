"""Watching a project: what changes is synced within a moment, and a status is answered at once.

Events are hints. What is true is found out by `survey`, as in every sync, and whatever the system's watches lose is
found by the next pass over everything.
"""
