// Ask the history something (see routes.py).
import { post } from "../shared/post.js";

export async function ask(name, body = {}) {
  const [ok, answer] = await post(`history/${name}`, body);
  if (!ok) throw new Error(answer.error);
  return answer;
}

export function thumbnailUrl({ name, version }) {
  const query = `name=${encodeURIComponent(name)}&v=${version}`;
  return new URL(`history/thumbnail?${query}`, document.baseURI).href;
}
