"""The program inside the walls. It needs nothing but the standard library of Python 3.11.

Nothing in here protects the host: cells share the process and may do to it what they like. The walls are built by
`deepagent.sandbox.walls`, and what comes out is checked by `deepagent.sandbox.frames`.
"""
