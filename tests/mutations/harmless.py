"""Breaks that break nothing: each was looked at, and here stands why no test can notice it."""

HARMLESS: dict[str, str] = {}  # what Break.name says -> why
