"""The web page that shows runs: read from the store alone, so that it works while a run is going on and ever after."""
