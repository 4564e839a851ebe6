"""What opens foreign files. It runs in a sandbox of its own, where a hostile file can harm nothing but its own reading.

It is sent there as it stands, so it imports nothing of ours, and libraries only where they are needed.
"""
