"""ToolBench: 1,996 APIs of RapidAPI, as its test instructions describe them."""
