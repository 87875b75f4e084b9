"""Rules: what an operator's result looks like, predicted from its arguments alone, and the books that hold them."""
