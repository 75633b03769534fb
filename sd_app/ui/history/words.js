// What the history says, and how the menus stand in the search field.
const DAY = { weekday: "long", day: "numeric", month: "long", year: "numeric" };

export function countText(count, trashed, search) {
  const pictures = `${count.toLocaleString("en")} picture${count === 1 ? "" : "s"}`;
  const place = trashed ? " in the trash" : "";
  return search ? `${pictures} found${place}` : `${pictures}${place}`;
}

export function noneText(trashed, search) {
  if (search) return "No pictures match. Try fewer words.";
  return trashed ? "The trash is empty." : "The pictures you make appear here.";
}

export function dayText(day) {
  const date = new Date(`${day}T12:00`);
  return Number.isNaN(date.getTime()) ? day : date.toLocaleDateString("en-GB", DAY);
}

const termOf = (field) => new RegExp(`(^|\\s)${field}:("[^"]*"|\\S*)(?=\\s|$)`, "i");

// Return a search in which a field has a value, "" takes it out.
export function withField(search, field, value) {
  const term = value && `${field}:${value}`;
  const found = termOf(field);
  const changed = found.test(search) ? search.replace(found, `$1${term}`) : `${search} ${term}`;
  return changed.replace(/\s+/g, " ").trim();
}

// Return the value that a field has in a search, "" if it has none.
export function fieldOf(search, field) {
  return (termOf(field).exec(search)?.[2] ?? "").toLowerCase();
}

// Return where an arrow, Home or End leads from place `at` of `count` in rows of `columns`; null for other keys.
export function placeAfter(key, at, count, columns) {
  const to = {
    ArrowRight: at + 1,
    ArrowLeft: at - 1,
    ArrowDown: at + columns,
    ArrowUp: at - columns,
    Home: 0,
    End: count - 1,
  }[key];
  return to === undefined ? null : Math.max(0, Math.min(count - 1, to));
}

const KEYS = new Map([
  ["f", "favourite"],
  ["F", "favourite"],
  ["+", "like"],
  ["=", "like"],
  ["-", "dislike"],
  ["0", null],
]);

// Return which mark a key sets: undefined for other keys. A mark that is there already is taken away.
export function markOfKey(key, now) {
  const mark = KEYS.get(key);
  return mark !== undefined && mark === now ? null : mark;
}
