// Gradio mounts parts of the page when they are first shown. What must be done to them is done then.

const acts = [];
let asked = false;

function actAll() {
  asked = false;
  for (const act of acts) act();
}

// Call `act` now, and after each change of what is there, which tab is chosen or how radio buttons are called,
// at most once a frame.
export function whenMounted(act) {
  acts.push(act);
  act();
}

const changes = {
  childList: true,
  subtree: true,
  attributes: true,
  attributeFilter: ["aria-selected", "name"],
};

export function watchPage() {
  new MutationObserver(() => {
    if (!asked) requestAnimationFrame(actAll);
    asked = true;
  }).observe(document.body, changes);
}
