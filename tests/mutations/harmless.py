"""Breaks that break nothing: each was looked at, and here stands why no test can notice it."""

# What Break.name says -> why.
HARMLESS: dict[str, str] = {
    "sd_app/interrogator/captioner.py: folder, dtype=dtype, use_safetensors=True, local_files_only=True,"
    " output_loading_info=True => folder, dtype=dtype, use_safetensors=True, local_files_only=False,"
    " output_loading_info=True": "The folder is on this machine and whole: nothing is looked up elsewhere.",
    'sd_app/checkpoints/parts.py: channels = unet["conv_in.weight"].shape[1:2] if "conv_in.weight" in unet'
    ' else () => channels = unet["conv_in.weight"].shape[1: 3] if "conv_in.weight" in unet else ()': (
        "Only the first of them is read."
    ),
    "sd_app/generation/blend.py: request = requests[0] => request = requests[ -1]": (
        "The pictures of a blend have one prompt: what would give each its own is refused."
    ),
    "sd_app/addons/word_files.py:   @lru_cache(maxsize=8) => ": "What is remembered is what is read again.",
    "sd_app/inside/again.py: for label, request, picture in zip(labels, requests, pictures, strict=True) =>"
    " for label, request, picture in zip(labels, requests, pictures, strict=False)": (
        "Each request gives one picture and has one label."
    ),
}
