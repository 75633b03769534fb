"""The tab "Picture info"."""
