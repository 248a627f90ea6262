// Asks the server: any that speaks OpenAI's API, beside this page under v1/.

const BASE = new URL("v1/", document.baseURI);
let key = "";

/** Take the key to ask with; it stays in this page's memory. */
export function useKey(value) {
  key = value.trim();
}

/** What went wrong, as the page can say it: a key of the words and their values. */
export class ServerError extends Error {
  constructor(word, values = {}, status = 0) {
    super(values.message ?? word);
    Object.assign(this, { word, values, status });
  }
}

async function request(path, options = {}) {
  const headers = { ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
  let answer;
  try {
    answer = await fetch(new URL(path, BASE), { ...options, headers, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("error_reach");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer) {
  const told = await answer.json().catch(() => ({}));
  const message = messageOf(told.error ?? told) || `${answer.status} ${answer.statusText}`.trim();
  if (answer.status === 401) return new ServerError("error_key", { message }, 401);
  const wait = answer.headers.get("retry-after");
  if (answer.status === 429 && wait) return new ServerError("error_busy", { n: wait, message }, 429);
  return new ServerError("error_other", { message }, answer.status);
}

// FastAPI says `detail`, Ollama a bare string; OpenAI's shape is an object with a message.
function messageOf(error) {
  if (typeof error === "string") return error;
  return error?.message ?? (typeof error?.detail === "string" ? error.detail : "");
}

/** List the models: [{id, capabilities?}]; capabilities tell a server of Valley's. */
export async function listModels() {
  const told = await (await request("models")).json();
  return (told.data ?? []).map(({ id, capabilities = null }) => ({ id, capabilities }));
}

/** Hand a file to the server, once; give its id. */
export async function upload(file, name, signal) {
  const form = new FormData();
  form.append("purpose", "vision");
  form.append("file", file, name);
  return (await (await request("files", { method: "POST", body: form, signal })).json()).id;
}

/** Let the server forget a file; whether it does changes nothing here. */
export function forget(id) {
  request(`files/${encodeURIComponent(id)}`, { method: "DELETE" }).catch(() => {});
}

/**
 * Ask, and yield what comes: {text} for words, {media}, {usage}, {finish}; it ends when the answer does.
 * Aborting the signal ends the answer at the server as well.
 */
export async function* ask(body, signal) {
  const answer = await request("chat/completions", {
    method: "POST", signal, headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  if (!(answer.headers.get("content-type") ?? "").includes("event-stream")) {
    yield* chunkEvents(wholeAsChunk(await answer.json()));
    return;
  }
  let ended = false;
  for await (const data of eventData(answer.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ServerError("error_other", { message: messageOf(chunk.error) });
    for (const event of chunkEvents(chunk)) {
      ended ||= "finish" in event;
      yield event;
    }
  }
  if (!ended) throw new ServerError("error_cut");
}

// A server that does not stream gives the answer in one piece.
function wholeAsChunk(told) {
  const choices = (told.choices ?? []).map((c) => ({ delta: c.message, finish_reason: c.finish_reason ?? "stop" }));
  return { ...told, choices };
}

function* chunkEvents(chunk) {
  const choice = chunk.choices?.[0];
  if (choice?.delta?.content) yield { text: choice.delta.content };
  if (chunk.media) yield { media: chunk.media };
  if (chunk.usage) yield { usage: chunk.usage };
  if (choice?.finish_reason) yield { finish: choice.finish_reason };
}

/** Yield the data of server-sent events, wherever the pieces of the network are cut. */
async function* eventData(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? "\n\n" : value;
      const events = rest.split(/\r?\n\r?\n/);
      rest = events.pop();
      for (const event of events) {
        const lines = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
        if (lines.length) yield lines.map((line) => line.slice(5).trimStart()).join("\n");
      }
      if (done) return;
    }
  } catch (error) {
    throw error.name === "AbortError" || error instanceof ServerError ? error : new ServerError("error_cut");
  } finally {
    reader.cancel().catch(() => {});
  }
}
