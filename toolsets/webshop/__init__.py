"""WebShop: a shop of products with options, where a goal says what to buy."""
