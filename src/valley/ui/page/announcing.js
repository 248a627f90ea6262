// Says to those who listen what others see: sentence by sentence, and not each word as it comes.

const PAUSE_MS = 1500;
const ENDED = /^[\s\S]*[.!?。！？…؟।](?:\s|$)|^[\s\S]*[。！？]/;
let waiting = "";
let timer = 0;

/** Say something at once. */
export function announce(text) {
  document.getElementById("announced").textContent = text;
}

/** Say words of an answer when a sentence of it is whole. */
export function announceWords(text) {
  waiting += text;
  timer ||= setTimeout(sayWhole, PAUSE_MS);
}

/** Say what is left, and that it was all. */
export function announceEnd(last) {
  clearTimeout(timer);
  timer = 0;
  announce(`${waiting} ${last}`.trim());
  waiting = "";
}

function sayWhole() {
  timer = 0;
  const whole = ENDED.exec(waiting)?.[0];
  if (whole) {
    announce(whole.trim());
    waiting = waiting.slice(whole.length);
  }
  if (waiting) timer = setTimeout(sayWhole, PAUSE_MS);
}
