// Keeps the theme that was asked for, from the first paint on: it stands in the page's head itself.
(() => {
  const { theme } = document.currentScript.dataset;
  if (theme === "system") return;
  const isDark = theme === "dark";
  const keep = () => {
    if (document.body.classList.contains("dark") !== isDark) document.body.classList.toggle("dark", isDark);
  };
  const changes = { attributes: true, subtree: true, attributeFilter: ["class"] };
  new MutationObserver(keep).observe(document.documentElement, changes);
  if (document.body) keep();
  else document.addEventListener("DOMContentLoaded", keep);
})();
