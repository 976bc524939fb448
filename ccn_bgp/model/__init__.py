"""The nouns. Frozen values without behaviour beyond their own text and wire form."""
