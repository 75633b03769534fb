"""What joins a checkpoint: LoRAs, learned words, another VAE. Names, tags and headers only; no torch."""

from .addon_files import AddonFile, find_file, list_files, stamp_files
from .choice import NO_ADDITIONS, Additions, LoraUse, VaeUse, choose_additions, words_of
from .listing import Addon, AddonFacts, describe_addon, list_addons
from .lora_files import LoraFacts, inspect_lora
from .vae_files import find_vae, list_vaes
from .word_files import NO_WORDS, LearnedWord, WordBook, inspect_word, read_words

__all__ = [
    "NO_ADDITIONS",
    "NO_WORDS",
    "Additions",
    "Addon",
    "AddonFacts",
    "AddonFile",
    "LearnedWord",
    "LoraFacts",
    "LoraUse",
    "VaeUse",
    "WordBook",
    "choose_additions",
    "describe_addon",
    "find_file",
    "find_vae",
    "inspect_lora",
    "inspect_word",
    "list_addons",
    "list_files",
    "list_vaes",
    "read_words",
    "stamp_files",
    "words_of",
]
