// The player with its clips, the part that the model is shown, and the frames that it saw.

import { drawFrames, happens } from "./frames.js";
import { announce } from "./announcing.js";
import { t } from "./words.js";
import { writeTime } from "./times.js";

const at = (id) => document.getElementById(id);
const player = at("player");
let clips = [];
let current = null;
let answers = []; // what was seen, by answer, the newest last
let drawing = new AbortController();
let canSeeWindow = true;

/** Show these clips; the one that is shown stays, unless it is gone. */
export function setClips(all, chosen = null) {
  const before = current;
  clips = all;
  if (chosen || !clips.includes(current)) current = chosen ?? clips.at(-1) ?? null;
  at("invitation").hidden = clips.length > 0;
  at("shown").hidden = clips.length === 0;
  drawTabs();
  if (current !== before) showCurrent();
}

/** Tell what was seen, answer by answer: [seen, ...]; null for a server that does not tell. */
export function setSeen(all) {
  answers = all;
  drawSeen();
}

/** Say whether the server takes a part of a clip. */
export function allowWindow(allowed) {
  canSeeWindow = allowed;
  at("window").hidden = !allowed || current?.kind !== "video";
}

/** Show a clip at a second of it. */
export async function jump(clip, second) {
  if (clip !== current) setClips(clips, clip);
  if (matchMedia("(max-width: 56rem)").matches) at("stage").scrollIntoView({ block: "start" });
  if (current?.kind !== "video") return;
  player.pause();
  if (player.readyState < 1) await happens(player, "loadedmetadata").catch(() => {});
  player.currentTime = second + 0.004;
  announce(t("at", { time: writeTime(second) }));
}

/** Show a clip with what an answer saw of it. */
export function showSeen(seen) {
  const one = seen.findLast((s) => s.clip === current) ?? seen.findLast((s) => s.kind === "video") ?? seen.at(-1);
  if (!one) return;
  if (one.clip !== current) setClips(clips, one.clip);
  drawSeen(one);
  at("seen").scrollIntoView({ block: "nearest" });
}

/** Go to the frame before or behind the player's position. */
export function step(by) {
  const times = [...document.querySelectorAll("#strip button")].map((b) => Number(b.dataset.second));
  const here = times.findLastIndex((s) => s <= player.currentTime + 0.001);
  const there = times[Math.min(Math.max(here + by, 0), times.length - 1)];
  if (current && there !== undefined) jump(current, there);
}

export function togglePlaying() {
  if (current?.kind === "video") player.paused ? player.play().catch(() => {}) : player.pause();
}

/** Write everything anew, in another language of the page. */
export function redraw() {
  drawTabs();
  drawSeen();
}

function drawTabs() {
  at("tabs").replaceChildren(...clips.map((clip) => {
    const tab = document.createElement("button");
    Object.assign(tab, { type: "button", textContent: clip.name });
    tab.setAttribute("aria-pressed", String(clip === current));
    tab.onclick = () => setClips(clips, clip);
    return tab;
  }));
  at("tabs").hidden = clips.length < 2;
}

function showCurrent() {
  const isVideo = current?.kind === "video";
  player.hidden = !isVideo;
  at("picture").hidden = current?.kind !== "image";
  at("unplayable").hidden = true;
  at("window").hidden = !isVideo || !canSeeWindow;
  if (isVideo) {
    player.src = current.url;
    player.setAttribute("aria-label", current.name);
    at("start").value = current.startS ?? "";
    at("end").value = current.endS ?? "";
    at("end").placeholder = current.durationS === null ? "" : String(Math.round(current.durationS * 100) / 100);
    at("window-wrong").hidden = true;
  } else {
    player.removeAttribute("src");
    player.load();
    at("picture").src = current?.url ?? "";
    at("picture").alt = current?.name ?? "";
  }
  drawSeen();
}

player.addEventListener("error", () => {
  if (player.hasAttribute("src")) at("unplayable").hidden = false;
});
player.addEventListener("loadedmetadata", () => {
  // A recording does not say how long it is until somebody looks for its end.
  if (player.duration === Infinity) player.currentTime = 1e7;
  else lengthKnown();
});
player.addEventListener("durationchange", () => {
  if (current?.durationS !== null || !Number.isFinite(player.duration)) return;
  lengthKnown();
  player.currentTime = 0;
});
player.addEventListener("timeupdate", markFrame);
player.addEventListener("seeked", markFrame);

function lengthKnown() {
  if (!current || current.kind !== "video") return;
  current.durationS = player.duration;
  at("end").placeholder = String(Math.round(player.duration * 100) / 100);
}

function seenNow() {
  for (const seen of answers.toReversed()) {
    if (seen === null) return null;
    const one = seen.findLast((s) => s.clip === current);
    if (one) return one;
  }
  return undefined;
}

function drawSeen(one = seenNow()) {
  drawing.abort();
  drawing = new AbortController();
  const strip = at("strip"), note = at("seen-note");
  strip.replaceChildren();
  note.textContent = "";
  if (!current) return;
  if (!one) {
    note.textContent = t(one === null ? "seen_untold" : answers.length ? "seen_not_yet" : "seen_none");
  } else if (one.kind === "image") {
    note.textContent = t("seen_picture");
  } else {
    if (one.missing_s.length) note.textContent = t("seen_missing", { times: one.missing_s.map(writeTime).join(", ") });
    const buttons = new Map(one.timestamps_s.map((s) => [s, frameButton(one.clip, s)]));
    strip.classList.remove("undrawn");
    strip.append(...[...buttons.values()].map((button) => {
      const item = document.createElement("li");
      item.append(button);
      return item;
    }));
    drawFrames(one.clip, one.timestamps_s, (s, canvas) => buttons.get(s).firstChild.append(canvas), drawing.signal)
      .then((drawn) => strip.classList.toggle("undrawn", !drawn), () => {});
    markFrame();
  }
}

function frameButton(clip, second) {
  const button = document.createElement("button"), time = document.createElement("span");
  const picture = document.createElement("span"); // its place is kept until it is drawn
  picture.className = "picture";
  time.textContent = writeTime(second);
  button.type = "button";
  button.dataset.second = second;
  button.setAttribute("aria-label", t("frame_at", { time: writeTime(second) }));
  button.append(picture, time);
  button.onclick = () => jump(clip, second);
  return button;
}

function markFrame() {
  const buttons = [...document.querySelectorAll("#strip button")];
  const here = buttons.findLastIndex((b) => Number(b.dataset.second) <= player.currentTime + 0.001);
  buttons.forEach((b, place) => (place === here ? b.setAttribute("aria-current", "true") : b.removeAttribute("aria-current")));
}

function readWindow() {
  if (!current) return;
  const read = (id) => (at(id).value.trim() === "" || !Number.isFinite(at(id).valueAsNumber) ? null : at(id).valueAsNumber);
  const [start, end] = [read("start"), read("end")];
  const longest = current.durationS ?? Infinity;
  const fits = (start ?? 0) >= 0 && (start ?? 0) < longest && (end === null || end > (start ?? 0));
  at("window-wrong").hidden = fits;
  if (fits) [current.startS, current.endS] = [start, end];
}

for (const id of ["start", "end"]) {
  at(id).addEventListener("input", readWindow);
  at(`${id}-here`).addEventListener("click", () => {
    at(id).value = Math.round(player.currentTime * 100) / 100;
    readWindow();
  });
}
at("whole").addEventListener("click", () => {
  at("start").value = at("end").value = "";
  readWindow();
});
