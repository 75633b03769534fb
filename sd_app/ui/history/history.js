// The tab "History" (see tab.py): a search, the pictures it finds, and what is done with them.
import { button, drawMessage, setPressed } from "../shared/dom.js";
import { fileUrl } from "../shared/post.js";
import { openTabs } from "../shared/send_to.js";
import { ask } from "./ask.js";
import { Compare } from "./compare.js";
import { Grid } from "./grid.js";
import { Viewer } from "./viewer.js";
import { countText, fieldOf, noneText, withField } from "./words.js";

const TYPING = 250; // milliseconds of rest until what was typed is searched
const READING = 700; // milliseconds between two looks while the folder is read
const RESTING = 4000; // and when it is not

export function mount(component, options) {
  new History(component, options).begin();
}

class History {
  constructor({ element, props, trigger }, { sendTo }) {
    this.root = element.querySelector(".history");
    Object.assign(this, { props, trigger });
    this.asked = 0; // searches so far: an older one's answer is not drawn
    this.after = null;
    this.version = null;
    this.trashed = false;
    this.undo = []; // names in the trash of what was thrown away last
    this.grid = new Grid(this.find(".history-grid"), this);
    this.viewer = new Viewer(this.find(".history-viewer"), this, sendTo);
    this.compare = new Compare(this.find(".history-compare"));
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  get search() {
    return this.find(".history-search").value;
  }

  begin() {
    const field = this.find(".history-search");
    field.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.searchAgain(), TYPING);
    });
    this.find(".history-bar").addEventListener("submit", (event) => {
      event.preventDefault();
      this.searchAgain();
    });
    for (const menu of this.root.querySelectorAll("select[data-field]")) {
      menu.addEventListener("change", () => {
        field.value = withField(this.search, menu.dataset.field, menu.value);
        this.searchAgain();
      });
    }
    this.find(".history-trash").addEventListener("click", () => {
      this.trashed = !this.trashed;
      this.grid.chooseNone();
      this.searchAgain();
    });
    this.find(".history-more").addEventListener("click", () => this.showMore());
    this.find(".history-chosen").addEventListener("click", (event) => {
      const act = event.target.closest("button")?.dataset.act;
      if (act) this.doWithChosen(act);
    });
    this.root.addEventListener("keydown", (event) => this.pressKey(event));
    new IntersectionObserver(
      ([{ isIntersecting }]) => {
        this.wantsMore = isIntersecting;
        if (isIntersecting) this.showMore();
      },
      { rootMargin: "600px" },
    ).observe(this.find(".history-more"));
    new IntersectionObserver(([seen]) => this.shown(seen.isIntersecting)).observe(this.root);
  }

  // -- what is there

  shown(isShown) {
    clearTimeout(this.looking);
    this.isShown = isShown;
    if (isShown) this.look();
  }

  // Look for new pictures as long as the tab is seen.
  async look() {
    try {
      const state = await ask("state");
      this.drawState(state);
      if (this.version !== state.version) await this.searchAgain({ quiet: this.version !== null });
      this.version = state.version;
      this.wait = state.running ? READING : RESTING;
    } catch (error) {
      this.tell(error);
      this.wait = RESTING;
    }
    clearTimeout(this.looking);
    if (this.isShown) this.looking = setTimeout(() => this.look(), this.wait);
  }

  drawState({ running, done, total, problem }) {
    const reading = this.find(".history-reading");
    reading.hidden = !running;
    reading.querySelector("progress").value = total ? done / total : 0;
    reading.querySelector("span").textContent =
      "Reading the outputs folder" +
      (total ? `: ${done.toLocaleString("en")} of ${total.toLocaleString("en")} new files` : "");
    if (problem) drawMessage(this.find(".history-message"), problem);
  }

  // `quiet`: something new is there; what was unfolded and chosen stays.
  async searchAgain({ quiet = false } = {}) {
    clearTimeout(this.typing);
    this.asked += 1;
    const { asked, search, trashed } = this;
    setPressed(this.find(".history-trash"), trashed);
    this.root.dataset.trashed = String(trashed);
    for (const menu of this.root.querySelectorAll("select[data-field]")) {
      const value = fieldOf(search, menu.dataset.field);
      menu.value = [...menu.options].some((option) => option.value === value) ? value : "";
    }
    try {
      const page = await ask("page", { search, trashed });
      if (asked !== this.asked) return;
      drawMessage(this.find(".history-message"), page.problem ?? "");
      if (quiet) this.grid.refresh(page.pictures);
      else this.grid.draw(page.pictures);
      if (!quiet || this.grid.pictures.length <= page.pictures.length) this.after = page.after;
      this.version = page.version;
      this.find(".history-count").textContent = [
        countText(page.count, trashed, search.trim()),
        ...page.remarks,
      ].join(". ");
      const none = this.find(".history-none");
      none.hidden = page.count > 0 || page.running;
      none.textContent = noneText(trashed, search.trim());
      this.find(".history-more").hidden = !this.after;
      this.drawChosen();
    } catch (error) {
      if (asked === this.asked) this.tell(error);
    }
  }

  async showMore() {
    if (!this.after || this.isLoading) return;
    this.isLoading = true;
    const { asked, search, trashed, after } = this;
    try {
      const page = await ask("page", { search, trashed, after });
      if (asked !== this.asked) return;
      const more = this.find(".history-more");
      const held = document.activeElement === more;
      this.grid.add(page.pictures);
      this.after = page.after;
      more.hidden = !page.after;
      // Whoever came here by keys goes on with the first of what is new: the button may be gone.
      if (held && page.pictures.length) this.grid.focus(page.pictures[0].name);
    } catch (error) {
      this.tell(error);
      return;
    } finally {
      this.isLoading = false;
    }
    // On a tall window the end may still be in sight, where the observer sees no change.
    requestAnimationFrame(() => this.wantsMore && this.showMore());
  }

  tell(error) {
    drawMessage(this.find(".history-message"), error.message);
    this.viewer.tell(error.message);
  }

  // Say what was done, with a way back.
  note(text, act = null) {
    const line = this.find(".history-notice");
    line.replaceChildren(text, ...(act ? [" ", act] : []));
    line.hidden = !text;
  }

  // -- what is done

  drawChosen() {
    const count = this.grid.chosen.size;
    const bar = this.find(".history-chosen");
    bar.hidden = count === 0;
    this.find(".history-chosen-count").textContent = `${count} selected`;
    for (const [act, off] of [
      ["compare", count !== 2],
      ["favourite", this.trashed],
      ["trash", this.trashed],
      ["restore", !this.trashed],
    ]) {
      const made = bar.querySelector(`[data-act="${act}"]`);
      if (act === "compare") {
        made.disabled = off;
        made.title = off ? "Select two pictures to compare them" : "";
      } else made.hidden = off;
    }
  }

  doWithChosen(act) {
    const names = this.grid.chosenNames();
    if (act === "clear") this.grid.chooseNone();
    else if (act === "compare") this.compareTwo();
    else if (act === "favourite") this.mark(names, "favourite");
    else if (act === "export") this.download(names);
    else if (act === "trash") this.throwAway(names);
    else this.putBack(names);
  }

  async compareTwo() {
    try {
      // The older one is on the left, as before and after.
      const { pictures, differences } = await ask("compare", { names: this.grid.chosenNames() });
      this.compare.open(pictures, differences);
    } catch (error) {
      this.tell(error);
    }
  }

  async mark(names, mark) {
    try {
      await ask("mark", { names, mark });
      this.grid.setMarks(names, mark);
      this.viewer.setMark(names, mark);
    } catch (error) {
      this.tell(error);
    }
  }

  async download(names) {
    this.note("Preparing the ZIP file…");
    try {
      const { file, name, count } = await ask("export", { names });
      const link = Object.assign(document.createElement("a"), { href: fileUrl(file.path), download: name });
      link.click();
      this.note(`${count} picture${count === 1 ? "" : "s"} in ${name}, with a table of their parameters.`);
    } catch (error) {
      this.note("");
      this.tell(error);
    }
  }

  async throwAway(names) {
    try {
      const { moved, problem } = await ask("trash", { names });
      this.undo = moved.map(([, now]) => now);
      this.grid.remove(moved.map(([old]) => old));
      this.drawMoved(`${counted(moved)} moved to the trash.`, problem);
      await this.searchAgain({ quiet: true });
    } catch (error) {
      this.tell(error);
    }
  }

  async putBack(names) {
    try {
      const { moved, problem } = await ask("restore", { names });
      this.undo = [];
      this.grid.remove(moved.map(([old]) => old));
      this.drawMoved(`${counted(moved)} put back.`, problem);
      await this.searchAgain({ quiet: true });
    } catch (error) {
      this.tell(error);
    }
  }

  drawMoved(text, problem) {
    const names = this.undo;
    this.note(text, names.length ? button("Undo", () => this.putBack(names)) : null);
    if (problem) drawMessage(this.find(".history-message"), problem);
  }

  // Hand a picture to another tab: the component's value is what the event reads.
  send(event, image) {
    this.props.value = { images: [image], selected: 0 };
    this.trigger(event);
    if (event === "send_interrogate") openTabs("tab-interrogate-button");
  }

  pressKey(event) {
    const { target, key } = event;
    if (target.closest("input, select, textarea, dialog, summary") || event.altKey) return;
    if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "z" && this.undo.length) {
      event.preventDefault();
      this.putBack(this.undo);
    } else if (!event.ctrlKey && !event.metaKey && this.grid.pressKey(event)) event.preventDefault();
  }
}

const counted = (moved) => `${moved.length} picture${moved.length === 1 ? "" : "s"}`;
