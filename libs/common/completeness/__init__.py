"""What can be said of a source as a whole: up to when everything is loaded, and what should have come. Values in,
values out."""
