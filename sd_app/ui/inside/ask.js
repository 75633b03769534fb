// Ask an open recording something (see routes.py).
import { post as postTo } from "../shared/post.js";

const PAUSE = 60; // milliseconds between two looks at what is being worked on

export class Gone extends Error {} // the key opens nothing any more
export class Stopped extends Error {}

async function post(name, body) {
  const [ok, answer] = await postTo(`inside/${name}`, body);
  if (ok) return answer;
  if (answer.gone) throw new Gone(answer.error);
  if (answer.stopped) throw new Stopped(answer.error);
  throw new Error(answer.error);
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
