// The page: puts the parts together, and holds what they share: the conversation, the models, the settings.

import { announce, announceEnd, announceWords } from "./announcing.js";
import { ask, listModels, ServerError, useKey } from "./api.js";
import { drawTurn, drawTurns } from "./chat.js";
import { clipOf } from "./clips.js";
import { canRecord, record } from "./recording.js";
import { asMarkdown, asRecord, download } from "./saving.js";
import * as stage from "./stage.js";
import { clipsOf, messages, seenIn, told, Turn } from "./talk.js";
import { ANSWER_LANGUAGES, firstKnown, speak, t } from "./words.js";

const at = (id) => document.getElementById(id);
const AGAIN_TEMPERATURE = 0.8; // at 0 another answer would be the same one
const LOADING_MS = 1000;
const kept = preferences();
let models = [];
let turns = [];
let attached = []; // for the next question
let running = null; // AbortController of the answer that is coming
let page = { model: null, examples: [] };

const does = { jump: stage.jump, showSeen: stage.showSeen, again };
const model = () => models.find((one) => one.id === at("model").value) ?? null;
const isValley = () => Boolean(model()?.capabilities);

// --- asking

async function send(question) {
  if (running || !question.trim()) return;
  const turn = new Turn(question.trim(), attached);
  attached = [];
  at("question").value = "";
  turns.push(turn);
  drawAttached();
  drawTurns(turns, does);
  await answer(turn);
}

async function again() {
  const turn = turns.at(-1);
  if (running || !turn) return;
  const other = turn.state === "done" || turn.state === "cut";
  turn.begin();
  await answer(turn, other ? { temperature: AGAIN_TEMPERATURE, seed: Math.floor(Math.random() * 2 ** 31) } : {});
}

async function answer(turn, drawn = {}) {
  running = new AbortController();
  showRunning(true);
  redraw(turn);
  const began = performance.now();
  try {
    await withFiles(turn, () => receive(turn, drawn, running.signal));
    if (!turn.isAnswered) throw new ServerError("error_empty");
    if (turn.isRunning) turn.state = "done"; // a server that does not say how it ended
  } catch (error) {
    if (error.name === "AbortError") turn.state = "stopped";
    else fail(turn, error);
  }
  turn.seconds = (performance.now() - began) / 1000;
  running = null;
  showRunning(false);
  redraw(turn);
  stage.setSeen(turns.filter((one) => one.seen || ["done", "cut"].includes(one.state)).map((one) => one.seen));
  if (turn.state !== "failed") announceEnd(t(turn.state === "stopped" ? "stopped" : "done"));
}

function fail(turn, error) {
  turn.state = "failed";
  turn.error = error instanceof ServerError ? error : new ServerError("error_other", { message: String(error.message ?? error) });
  if (turn.error.status === 401) {
    at("settings").showModal();
    at("api-key").focus();
  }
}

// A server forgets files when it starts anew: they are handed over once more, and the question is asked again.
async function withFiles(turn, act) {
  try {
    await act();
  } catch (error) {
    const sent = clipsOf(told(turns, turns.indexOf(turn)));
    if (error.status !== 404 || !sent.some((clip) => clip.sent) || turn.text) throw error;
    for (const clip of sent) clip.sent = null;
    await act();
  }
}

async function receive(turn, drawn, signal) {
  if (!models.length) await loadModels();
  const read = told(turns, turns.indexOf(turn));
  turn.state = "sending";
  redraw(turn);
  const body = { ...settings(), ...drawn, messages: await messages(read, isValley(), signal) };
  signal.throwIfAborted();
  turn.state = "waiting";
  redraw(turn);
  for await (const event of ask(body, signal)) take(turn, event, clipsOf(read));
}

function take(turn, event, sent) {
  if (event.text) {
    if (!turn.text) announce(t("answering"));
    turn.text += event.text;
    turn.state = "streaming";
    announceWords(event.text);
    redrawSoon(turn);
  }
  if (event.media) turn.seen = seenIn(event.media, sent);
  if (event.usage) turn.usage = event.usage;
  if (event.finish) turn.state = event.finish === "length" ? "cut" : "done";
}

// What the request says besides its messages; servers other than Valley's are told only what they know.
function settings() {
  const body = { model: at("model").value, stream: true, stream_options: { include_usage: true } };
  if (at("longest").valueAsNumber >= 1) body.max_tokens = Math.floor(at("longest").valueAsNumber);
  const [kind, count] = [at("frames").value, at("frames-count").valueAsNumber];
  if (kind && count > 0) {
    const frames = { [kind]: kind === "num_frames" ? Math.max(1, Math.round(count)) : count };
    Object.assign(body, isValley() ? frames : { media_io_kwargs: { video: frames } });
  }
  if (isValley() && at("answer-language").value) body.language = at("answer-language").value;
  return body;
}

// --- drawing

let drawnSoon = 0;

function redraw(turn) {
  cancelAnimationFrame(drawnSoon);
  drawnSoon = 0;
  if (turns.includes(turn)) drawTurn(turns, turns.indexOf(turn), does);
}

function redrawSoon(turn) {
  drawnSoon ||= requestAnimationFrame(() => redraw(turn));
}

function showRunning(is) {
  const had = document.activeElement;
  at("stop").hidden = !is;
  at("send").hidden = is;
  if (had === at("stop") || had === at("send")) (is ? at("stop") : at("question")).focus();
}

function drawAttached() {
  at("attached").replaceChildren(...attached.map((clip) => {
    const chip = document.createElement("li"), remove = document.createElement("button");
    Object.assign(remove, { type: "button", textContent: "×" });
    remove.setAttribute("aria-label", t("remove", { name: clip.name }));
    remove.onclick = () => {
      attached = attached.filter((one) => one !== clip);
      clip.drop();
      drawAttached();
      at("question").focus();
    };
    chip.append(clip.name, remove);
    return chip;
  }));
  stage.setClips([...turns.flatMap((turn) => turn.clips), ...attached], attached.at(-1) ?? null);
}

function showProblem(word, values = {}) {
  const said = document.createElement("p");
  said.className = "wrong";
  said.setAttribute("role", "alert");
  said.textContent = t(word, values);
  at("turns").append(said);
  said.scrollIntoView({ block: "nearest" });
}

// --- clips

function attach(files) {
  for (const file of files) {
    const clip = clipOf(file);
    if (clip) attached.push(clip);
    else showProblem("error_kind", { name: file.name });
  }
  drawAttached();
  at("question").focus();
}

async function recordFrom(what) {
  try {
    if (!canRecord) throw new ServerError("error_no_record");
    const file = await record(what);
    if (file) attach([file]);
  } catch (error) {
    if (error instanceof ServerError) showProblem(error.word);
    else showProblem("error_camera", { message: error.message || error.name });
  }
}

async function tryExample({ clip, questions }) {
  try {
    const answer = await fetch(`examples/${clip}`);
    if (!answer.ok) throw new Error(answer.statusText);
    attach([new File([await answer.blob()], clip, { type: "video/mp4" })]);
  } catch {
    showProblem("error_example");
    return;
  }
  await send(questions[0]);
}

function drawExamples() {
  const mine = page.examples.filter((one) => one.language === document.documentElement.lang);
  const others = page.examples.filter((one) => !mine.includes(one));
  const offered = [...mine.slice(0, 3), ...others.filter((one, n) => others.findIndex((o) => o.language === one.language) === n)];
  at("examples-title").hidden = !offered.length;
  at("examples").replaceChildren(...offered.map((example) => {
    const item = document.createElement("li"), offer = document.createElement("button"), name = document.createElement("small");
    name.textContent = example.clip;
    offer.type = "button";
    offer.lang = example.language;
    offer.append(example.questions[0], name);
    offer.onclick = () => tryExample(example);
    item.append(offer);
    return item;
  }));
}

// --- the conversation as a whole

function newChat() {
  running?.abort();
  for (const clip of [...turns.flatMap((turn) => turn.clips), ...attached]) clip.drop();
  turns = [];
  attached = [];
  drawTurns(turns, does);
  drawAttached();
  stage.setSeen([]);
  announce(t("new_chat"));
  at("question").focus();
}

function save(write, ending, type) {
  const now = new Date().toISOString().slice(0, 19) + "Z";
  const told = { model: at("model").value, language: at("answer-language").value, at: now };
  download(write(turns, told), `valley-${now.replace(/[:T]/g, "-").replace("Z", "")}.${ending}`, type);
  at("save-menu").hidePopover();
}

// --- settings

function preferences() {
  try {
    return JSON.parse(localStorage.getItem("valley") ?? "{}") ?? {};
  } catch {
    return {}; // a browser that keeps nothing
  }
}

function keep(name, value) {
  kept[name] = value;
  try {
    localStorage.setItem("valley", JSON.stringify(kept));
  } catch {
    // it holds for this page then
  }
}

function useLanguage(tag) {
  at("page-language").value = speak(tag);
  const shown = document.documentElement.lang;
  const chosen = at("answer-language").value;
  const own = (code) => new Intl.DisplayNames([code], { type: "language" }).of(code);
  at("answer-language").replaceChildren(new Option(t("as_asked"), ""), ...ANSWER_LANGUAGES.map((code) => {
    const option = new Option(own(code), code);
    option.lang = code;
    return option;
  }));
  at("answer-language").value = chosen;
  drawExamples();
  drawTurns(turns, does);
  drawAttached();
  stage.redraw();
  return shown;
}

function useLook(look) {
  document.documentElement.dataset.look = look ?? "";
  at("look").value = look ?? "";
}

async function loadModels() {
  models = await listModels();
  if (!models.length) throw new ServerError("error_models");
  const wanted = at("model").value || page.model;
  at("model").replaceChildren(...models.map(({ id }) => new Option(id, id)));
  if (models.some((one) => one.id === wanted)) at("model").value = wanted;
  modelChosen();
}

// A server that loads is asked until it has; one that wants a key, or is not there, with the first question again.
async function findModels() {
  try {
    while (!models.length) {
      await loadModels().catch((error) => {
        if (error.status !== 503) throw error;
      });
      at("loading").hidden = models.length > 0;
      if (!models.length) await new Promise((done) => setTimeout(done, LOADING_MS));
    }
  } catch (error) {
    at("loading").hidden = true;
    showProblem(error.word ?? "error_reach", error.values);
  }
}

function modelChosen() {
  stage.allowWindow(isValley());
  at("answer-language").closest("label").hidden = !isValley();
}

// --- what people do

function onKey(event) {
  if (event.key === "Escape" && running && !document.querySelector("dialog[open]")) return running.abort();
  if (!event.altKey || event.ctrlKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const last = (what) => [...document.querySelectorAll(`[data-does="${what}"]`)].at(-1)?.click();
  const acts = {
    KeyU: () => at("file").click(), KeyN: newChat, KeyR: () => last("again"), KeyC: () => last("copy"),
    KeyP: stage.togglePlaying, Comma: () => stage.step(-1), Period: () => stage.step(1),
  };
  if (!acts[event.code]) return;
  event.preventDefault();
  acts[event.code]();
}

function listen() {
  at("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send(at("question").value);
  });
  at("question").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send(at("question").value);
  });
  at("stop").addEventListener("click", () => running?.abort());
  document.addEventListener("keydown", onKey);
  for (const add of document.querySelectorAll(".add")) add.addEventListener("click", () => at("file").click());
  at("file").addEventListener("change", () => {
    attach([...at("file").files]);
    at("file").value = "";
  });
  at("camera").addEventListener("click", () => recordFrom("camera"));
  at("screen").addEventListener("click", () => recordFrom("screen"));
  at("new-chat").addEventListener("click", newChat);
  at("save-json").addEventListener("click", () => save(asRecord, "json", "application/json"));
  at("save-markdown").addEventListener("click", () => save(asMarkdown, "md", "text/markdown"));
  at("open-settings").addEventListener("click", () => at("settings").showModal());
  at("model").addEventListener("change", modelChosen);
  at("frames").addEventListener("change", () => (at("frames-value").hidden = !at("frames").value));
  at("api-key").addEventListener("change", () => useKey(at("api-key").value));
  at("page-language").addEventListener("change", (event) => keep("language", useLanguage(event.target.value)));
  at("look").addEventListener("change", (event) => {
    keep("look", event.target.value);
    useLook(event.target.value);
  });
  listenForFiles();
}

function listenForFiles() {
  at("screen").hidden = canRecord && !navigator.mediaDevices.getDisplayMedia; // telephones
  document.addEventListener("paste", (event) => {
    if (!event.clipboardData?.files.length) return;
    event.preventDefault();
    attach([...event.clipboardData.files]);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", event.dataTransfer.types.includes("Files"));
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    attach([...event.dataTransfer.files]);
  });
}

async function begin() {
  useLook(kept.look);
  useLanguage(kept.language ?? firstKnown(navigator.languages));
  listen();
  at("options").open = matchMedia("(min-width: 56rem) and (min-height: 44rem)").matches;
  page = await fetch("page.json").then((answer) => answer.json()).catch(() => page);
  drawExamples();
  await findModels();
  document.body.dataset.ready = "true";
}

begin();
