"""What an agent loop adds to its model calls: deepagent beside raw loops and other frameworks, one fake model server.

Every client plays the same script (`script.py`) against a server that answers at once (`server.py`), in a process of
its own (`measure.py`) on a core of its own. `python -m benchmarks.framework` runs them in turn and prints ratios.
"""
