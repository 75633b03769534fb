// Ask an open recording something (see routes.py): small JSON there and back.

const PAUSE = 60; // milliseconds between two looks at what is being worked on
const UNHEARD = "The studio does not answer. Is it still running?";

export class Gone extends Error {} // the key opens nothing any more
export class Stopped extends Error {}

async function post(name, body) {
  let response;
  try {
    response = await fetch(new URL(`inside/${name}`, document.baseURI), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error(UNHEARD);
  }
  const answer = await response.json().catch(() => ({ error: UNHEARD }));
  if (response.ok) return answer;
  if (answer.gone) throw new Gone(answer.error);
  if (answer.stopped) throw new Stopped(answer.error);
  throw new Error(answer.error ?? UNHEARD);
}

// Return {numbers, pictures}: arrays as {shape, data}, pictures as addresses. onProgress({text, fraction, stop})
// is called while something is waited for; stop() ends it.
export async function ask(key, panel, action, given = {}, onProgress = () => {}) {
  let answer = await post("ask", { key, panel, action, given });
  while (answer.job) {
    const { job } = answer;
    onProgress({ ...answer, stop: () => post("stop", { key, job }).catch(() => {}) });
    await new Promise((done) => setTimeout(done, PAUSE));
    answer = await post("job", { key, job });
  }
  return { numbers: decoded(answer.answer.numbers), pictures: answer.answer.pictures };
}

// Where a file that was made is served.
export const fileUrl = (path) => new URL(`gradio_api/file=${encodeURI(path)}`, document.baseURI).href;

// Return a value with every array in it, {shape, f4}, as {shape, data}: f4 is base64 of its float32 values.
export function decoded(value) {
  if (Array.isArray(value)) return value.map(decoded);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.f4 === "string") {
    const bytes = Uint8Array.from(atob(value.f4), (one) => one.charCodeAt(0));
    return { shape: value.shape, data: new Float32Array(bytes.buffer) };
  }
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, decoded(one)]));
}
