"""Records that were set aside: which files have some, and the first of them."""
