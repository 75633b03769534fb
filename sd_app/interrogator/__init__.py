"""From a picture to words."""
