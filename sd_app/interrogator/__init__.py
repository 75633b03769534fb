"""From a picture to words: caption, phrase search by CLIP similarity, and how much each word says."""
