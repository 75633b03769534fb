// Ask the studio something: small JSON there and back.
const UNHEARD = "The studio does not answer. Is it still running?";

// Return [whether it went well, the answer], which holds `error` otherwise.
export async function post(route, body) {
  let response;
  try {
    response = await fetch(new URL(route, document.baseURI), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error(UNHEARD);
  }
  const answer = await response.json().catch(() => ({ error: UNHEARD }));
  return [response.ok, { error: UNHEARD, ...answer }];
}

// Where a file that was handed out is served.
export const fileUrl = (path) =>
  new URL(`gradio_api/file=${path.split("/").map(encodeURIComponent).join("/")}`, document.baseURI).href;
