"""What the tabs that make pictures are called."""

MAKERS = {
    "txt2img": "Text to image",
    "img2img": "Image to image",
    "inpaint": "Inpaint",
    "embeddings": "Embeddings",
}
