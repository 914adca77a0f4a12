"""The files below the root: finding them, and reading the few that have to be read.

Every folder is opened through its parent's descriptor and no symbolic link is ever followed, so that nothing outside
the root is reached, whatever is swapped in while a run is under way. What is opened is opened for reading only.
"""
