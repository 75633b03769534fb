// Draws pictures against texts (see match.py). A row is a picture, a column a text.
import { node, picture, setPressed } from "../shared/dom.js";
import { JobBlock } from "../shared/job.js";
import { withMinus } from "../shared/numbers.js";

const LEGENDS = {
  cosines:
    "Cosine of picture and text; below it the share of random phrases that are less like the picture. Framed: the largest in its row. Dot: the largest in its column.",
  by_text: "If each picture had to choose one of these texts: each row adds up to 100 %. Framed: its choice.",
  by_image:
    "If each text had to choose one of these pictures: each column adds up to 100 %. Dot: its choice.",
};

export function mount(component, { sendTo }) {
  const matrix = new Matrix(component, sendTo);
  component.watch("value", () => matrix.render());
  matrix.render();
}

// A cosine to three places; what rounds to zero has no sign.
export function signed(cosine) {
  return withMinus(cosine.toFixed(3).replace(/^-(?=0\.000)/, ""));
}

export function percent(share) {
  if (share > 0 && share < 0.001) return "<0.1 %";
  return `${(100 * share).toFixed(share >= 0.995 || share === 0 ? 0 : 1)} %`;
}

// Return, cell by cell, how deep it is coloured (0..1) and whether it is the largest of its row and column.
export function cellMarks(values, isCosine) {
  const all = values.flat();
  const low = isCosine ? Math.min(...all) : 0;
  const high = isCosine ? Math.max(...all) : 1;
  const best = values[0].map((_, column) => Math.max(...values.map((row) => row[column])));
  return values.map((cells) =>
    cells.map((cell, column) => ({
      share: (cell - low) / (high - low || 1),
      rowBest: cell === Math.max(...cells),
      columnBest: cell === best[column],
    })),
  );
}

class Matrix {
  constructor(component, sendTo) {
    this.job = new JobBlock(component, sendTo, () => this.render());
    this.chosen = "cosines";
    this.kept = null; // the last table: it stays when a job ends without any
    this.job.find("views").addEventListener("click", (event) => {
      this.chosen = event.target.closest("button")?.dataset.table ?? this.chosen;
      this.render();
    });
  }

  keepTable() {
    const value = this.job.value;
    if (this.job.busy) return;
    if (value.texts?.length) {
      const { pictures, texts, tables, ranks, titles, note } = value;
      this.kept = { pictures, texts, tables, ranks, titles, note };
    } else if (this.kept && value.phase !== "empty") this.job.value = { ...value, ...this.kept };
  }

  render() {
    this.keepTable();
    const { value, busy } = this.job;
    const failed = value.phase === "error";
    const some = Boolean(value.texts?.length) && !busy;
    this.job.draw(value);
    this.job.find("nothing").hidden = some || busy;
    for (const name of ["views", "scroll", "legend"]) this.job.find(name).hidden = !some;
    this.job.find("after").hidden = busy;
    this.job.find("foot").hidden = !busy && (failed || !value.text);
    this.job.setText("summary", failed ? "" : value.text);
    for (const one of this.job.find("views").children) setPressed(one, one.dataset.table === this.chosen);
    this.job.setText("legend", LEGENDS[this.chosen] + (value.note ? ` ${value.note}` : ""));
    if (some) this.drawTable(value);
  }

  drawTable(value) {
    const head = node("tr");
    const columns = value.texts.map((text) =>
      Object.assign(node("th", "", text), { scope: "col", title: text }),
    );
    head.append(node("td"), ...columns);
    const marks = cellMarks(value.tables[this.chosen], this.chosen === "cosines");
    const rows = value.pictures.map((_, row) => this.row(value, row, marks[row]));
    const top = node("thead");
    const body = node("tbody");
    top.append(head);
    body.append(...rows);
    this.job.root.querySelector("table").replaceChildren(top, body);
  }

  row(value, row, marks) {
    const { file, name } = value.pictures[row];
    const line = node("tr");
    const first = Object.assign(node("th"), { scope: "row" });
    first.append(Object.assign(picture(file.url, name), { title: name }));
    line.append(first, ...marks.map((mark, column) => this.cell(value, row, column, mark)));
    return line;
  }

  cell(value, row, column, { share, rowBest, columnBest }) {
    const isCosine = this.chosen === "cosines";
    const number = value.tables[this.chosen][row][column];
    const made = node("td", "", isCosine ? signed(number) : percent(number));
    const rank = value.ranks[row][column];
    made.title = value.titles[row][column];
    if (isCosine && rank) made.append(node("small", "", rank));
    made.style.setProperty("--share", share.toFixed(2));
    made.classList.toggle("row-best", this.chosen !== "by_image" && rowBest);
    made.classList.toggle("column-best", this.chosen !== "by_text" && columnBest);
    return made;
  }
}
