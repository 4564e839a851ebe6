"""Research: searching and browsing the web, reading files, looking at images."""
