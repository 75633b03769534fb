// Ask the history something (see routes.py): small JSON there and back.
const UNHEARD = "The studio does not answer. Is it still running?";

export async function ask(name, body = {}) {
  let response;
  try {
    response = await fetch(new URL(`history/${name}`, document.baseURI), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error(UNHEARD);
  }
  const answer = await response.json().catch(() => ({ error: UNHEARD }));
  if (!response.ok) throw new Error(answer.error ?? UNHEARD);
  return answer;
}

export function thumbnailUrl({ name, version }) {
  const query = `name=${encodeURIComponent(name)}&v=${version}`;
  return new URL(`history/thumbnail?${query}`, document.baseURI).href;
}

// Where a file that was handed out is served.
export const fileUrl = ({ path }) =>
  new URL(`gradio_api/file=${path.split("/").map(encodeURIComponent).join("/")}`, document.baseURI).href;
