"""Hostile records, each made by a script from an honest record and named for its defect.

Each module of this package holds one kind of attack. `HOSTILE` of a module lists its records; `ALL` of `everything`
lists those of all modules. docs/threats.md has a line for each attack, with the name of its test.
"""
