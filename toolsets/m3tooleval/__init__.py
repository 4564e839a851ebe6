"""M3ToolEval's tools: ciphers, genes, trade, travel, and a small web shop to browse."""
