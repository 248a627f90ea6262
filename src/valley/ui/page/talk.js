// The conversation: questions with their clips, and answers with what the model saw. It knows no page.

/** One question and its answer. */
export class Turn {
  constructor(question, clips) {
    this.question = question;
    this.clips = clips;
    this.begin();
  }

  /** Forget the answer, for another one. */
  begin() {
    this.text = "";
    this.state = "sending"; // then waiting, streaming; at the end done, cut, stopped or failed
    this.error = null;
    this.seen = null; // [{clip, kind, duration_s, timestamps_s, missing_s}]; null where the server does not tell
    this.usage = null;
    this.seconds = 0;
  }

  get isRunning() {
    return ["sending", "waiting", "streaming"].includes(this.state);
  }

  get isAnswered() {
    return this.text.trim() !== "";
  }
}

/**
 * Give the turns that a model reads for the answer to turn `last`: [{question, clips, answer}].
 * What was never answered leaves no question behind, or two would follow each other; its clips go on to the next.
 */
export function told(turns, last) {
  const read = [];
  let clips = [];
  turns.slice(0, last + 1).forEach((turn, place) => {
    clips = [...clips, ...turn.clips];
    if (place < last && !turn.isAnswered) return;
    read.push({ question: turn.question, clips, answer: place < last ? turn.text : null });
    clips = [];
  });
  return read;
}

/** List the clips of a conversation in the order in which the model meets them. */
export function clipsOf(read) {
  return read.flatMap((turn) => turn.clips);
}

/** Write the messages of a request. */
export async function messages(read, keepsFiles, signal) {
  const out = [];
  for (const { question, clips, answer } of read) {
    const parts = await Promise.all(clips.map((clip) => clip.part(keepsFiles, signal)));
    const content = parts.length ? [...parts, { type: "text", text: question }] : question;
    out.push({ role: "user", content });
    if (answer !== null) out.push({ role: "assistant", content: answer });
  }
  return out;
}

/** Say which clip is meant by "there" in an answer: the last video that was shown by then, else the last picture. */
export function clipMeant(turns, place) {
  const shown = turns.slice(0, place + 1).flatMap((turn) => turn.clips);
  return shown.findLast((clip) => clip.kind === "video") ?? shown.at(-1) ?? null;
}

/** Pair what the server says of its media with the clips that were sent; null where it says nothing that fits. */
export function seenIn(media, clips) {
  if (!Array.isArray(media) || media.length !== clips.length) return null;
  return media.map((one, place) => ({
    clip: clips[place], kind: clips[place].kind, duration_s: one.duration_s ?? 0,
    timestamps_s: one.timestamps_s ?? [], missing_s: one.missing_s ?? [],
  }));
}
