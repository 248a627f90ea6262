// Draws the conversation: questions, answers as they come, and what can be done with them.

import { rendered } from "./markdown.js";
import { findTimes, writeTime } from "./times.js";
import { clipMeant } from "./talk.js";
import { t } from "./words.js";

const log = document.getElementById("log");
const place = document.getElementById("turns");

/** Draw all turns; `does` says what the buttons do: {jump, again, showSeen}. */
export function drawTurns(turns, does) {
  document.getElementById("welcome").hidden = turns.length > 0;
  place.replaceChildren(...turns.map((turn, n) => article(turns, n, does)));
  toEnd();
}

/** Draw one turn anew; the reader stays where they are, unless that is the end. */
export function drawTurn(turns, n, does) {
  const follows = atEnd();
  const old = place.children[n];
  old.querySelector(".answer").replaceWith(answer(turns, n, does));
  log.setAttribute("aria-busy", String(turns[n].isRunning));
  if (follows) toEnd();
}

const scroller = () => (log.scrollHeight > log.clientHeight + 1 && getComputedStyle(log).overflowY !== "visible" ? log : document.scrollingElement);
const atEnd = () => scroller().scrollHeight - scroller().scrollTop - scroller().clientHeight < 80;
const toEnd = () => scroller().scrollTo({ top: scroller().scrollHeight });

function make(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function button(text, act) {
  const made = make("button", "", text);
  made.type = "button";
  made.onclick = () => act(made);
  return made;
}

function article(turns, n, does) {
  const turn = turns[n];
  const question = make("div", "question", make("span", "unseen", `${t("you")}: `));
  for (const clip of turn.clips) {
    question.append(button(clip.name, () => does.jump(clip, 0)));
    question.lastChild.className = "clip";
  }
  const words = make("p", "", turn.question);
  words.dir = "auto";
  question.append(words);
  return make("article", "turn", question, answer(turns, n, does));
}

function answer(turns, n, does) {
  const turn = turns[n];
  const made = make("div", "answer");
  const words = make("div", "words", rendered(turn.text, (text) => withTimes(text, turns, n, does)));
  words.dir = "auto";
  made.append(words);
  if (turn.isRunning && !turn.text) made.append(make("p", "state", t(turn.state === "sending" ? "sending" : "waiting")));
  if (turn.state === "stopped" || turn.state === "cut") made.append(make("p", "state", t(turn.state)));
  if (turn.state === "failed") made.append(wrong(turn.error));
  if (!turn.isRunning) made.append(tools(turns, n, does));
  return made;
}

function wrong(error) {
  const said = make("p", "wrong", t(error.word, error.values));
  said.setAttribute("role", "alert");
  return said;
}

function tools(turns, n, does) {
  const turn = turns[n];
  const row = make("div", "tools");
  if (turn.isAnswered) {
    row.append(button(t("copy"), async (pressed) => {
      await copy(turn.text);
      pressed.textContent = t("copied");
      setTimeout(() => (pressed.textContent = t("copy")), 2000);
    }));
    row.lastChild.dataset.does = "copy";
  }
  if (n === turns.length - 1) {
    row.append(button(t(turn.state === "done" || turn.state === "cut" ? "again" : "try_again"), () => does.again()));
    row.lastChild.dataset.does = "again";
  }
  const frames = turn.seen?.reduce((sum, one) => sum + one.timestamps_s.length, 0) ?? 0;
  if (frames) {
    row.append(button(t("frames_of", { n: frames }), () => does.showSeen(turn.seen)));
    row.lastChild.dataset.does = "frames";
  }
  const cost = costOf(turn);
  if (cost) row.append(make("span", "cost", cost));
  return row;
}

function costOf({ usage, seconds, isAnswered }) {
  if (!isAnswered) return "";
  const told = { seconds: seconds.toFixed(1) };
  if (!usage) return t("seconds_only", told);
  Object.assign(told, { prompt: usage.prompt_tokens, completion: usage.completion_tokens });
  const visual = usage.prompt_tokens_details?.visual_tokens;
  return visual ? t("tokens", { ...told, visual }) : t("tokens_only", told);
}

// Times that lie within the clip that is meant become buttons that go there.
function withTimes(text, turns, n, does) {
  const clip = clipMeant(turns, n);
  if (clip?.kind !== "video") return [text];
  const longest = clip.durationS ?? turns[n].seen?.find((one) => one.clip === clip)?.duration_s ?? Infinity;
  const nodes = [];
  let done = 0;
  for (const { start, end, seconds } of findTimes(text, longest + 0.05)) {
    const link = button(text.slice(start, end), () => does.jump(clip, seconds));
    link.className = "time";
    link.title = t("jump", { time: writeTime(seconds) });
    nodes.push(text.slice(done, start), link);
    done = end;
  }
  return [...nodes, text.slice(done)];
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).catch(() => copyOld(text));
  return copyOld(text);
}

// Pages that are not of this machine and not over https have no clipboard but this one.
function copyOld(text) {
  const box = make("textarea", "unseen", text);
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}
