"""Up to when everything is loaded, and what holds that back."""
