// Writes a conversation into a file: a record as Valley reads it (one line of JSON), or Markdown.

import { told } from "./talk.js";
import { writeTime } from "./times.js";

const answered = (turns) => turns.filter((turn) => turn.isAnswered);

/** Write the record: `valley data` and `valley batch` read it beside the clips that it names. */
export function asRecord(turns, { model, language, at }) {
  const last = turns.findLastIndex((turn) => turn.isAnswered);
  const read = last < 0 ? [] : told(turns, last);
  const said = read.flatMap(({ question, clips, answer }) => [
    { role: "user", content: [...clips.map(part), { type: "text", text: question }] },
    { role: "assistant", content: [{ type: "text", text: answer ?? turns[last].text }] },
  ]);
  const answers = answered(turns).map((turn) => ({ state: turn.state, usage: turn.usage, seen: turn.seen?.map(seen) ?? null }));
  return JSON.stringify({
    id: `chat-${at}`, language: language || "und", messages: said, metadata: { model, saved_at: at, answers },
  }) + "\n";
}

function part(clip) {
  if (clip.kind === "image") return { type: "image", path: clip.name };
  const window = {};
  if (clip.startS !== null) window.start_s = clip.startS;
  if (clip.endS !== null) window.end_s = clip.endS;
  return { type: "video", path: clip.name, ...window };
}

const seen = ({ clip, duration_s, timestamps_s, missing_s }) => ({ path: clip.name, duration_s, timestamps_s, missing_s });

/** Write it for people. */
export function asMarkdown(turns, { model, at }) {
  const lines = [`# ${model}`, "", at, ""];
  for (const turn of answered(turns)) {
    for (const clip of turn.clips) lines.push(`*${clip.name}*`, "");
    lines.push(...turn.question.split("\n").map((line) => `> ${line}`), "", turn.text.trim(), "");
    for (const one of turn.seen ?? []) {
      if (one.timestamps_s.length) lines.push(`<sub>${one.clip.name}: ${one.timestamps_s.map(writeTime).join(", ")}</sub>`, "");
    }
  }
  return lines.join("\n");
}

/** Let the browser keep a text as a file. */
export function download(text, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
