"""What travels: the frozen rows of the store, and the JSON shapes clients see."""
