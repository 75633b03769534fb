"""The embedded model: its picture world, its training recipe and the judge that measures it."""
