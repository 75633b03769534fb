"""The tabs that make pictures, as people know them; which one made a picture, its parameters say."""

MAKERS = {
    "txt2img": "Text to image",
    "img2img": "Image to image",
    "inpaint": "Inpaint",
    "embeddings": "Embeddings",
}
