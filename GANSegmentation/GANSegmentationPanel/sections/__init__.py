"""The sections of the panel: each binds its widgets, shows the parameter node and the jobs, and asks the logic.

A section knows the panel (its widgets, its logic, its parameter node) and no other section.
"""
