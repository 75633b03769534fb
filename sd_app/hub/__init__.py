"""Models of the Hugging Face hub: which are recommended, what one would fetch, fetching it. No torch."""
