"""Object storage as this system needs it: list a prefix page by page, and look at single objects again."""
