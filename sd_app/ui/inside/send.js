// What the browser notes of what is open, for the next reload.
export const nameOf = (value) => ({ name: value?.name ?? "" });
