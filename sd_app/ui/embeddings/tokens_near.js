// Hands the nearest words of a row, which arrive by themselves, to the token view of the same tab.

export function mount({ element, props, watch }) {
  watch("value", () => {
    const view = element.closest(".get")?.querySelector(".tokens");
    view?.dispatchEvent(new CustomEvent("tokens:near", { detail: props.value }));
  });
}
