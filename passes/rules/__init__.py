"""Rules: what an operator's result looks like, told by its arguments alone, and the books that hold them."""
