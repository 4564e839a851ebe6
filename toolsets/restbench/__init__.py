"""RestBench: the TMDB and Spotify APIs as their documents describe them, and a mock server for each."""
