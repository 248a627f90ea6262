// Records the camera or the screen, without sound, for a minute at most.

const MOST_S = 60;
const TYPES = ["video/mp4;codecs=avc1", "video/webm;codecs=vp9", "video/webm"];
const at = (id) => document.getElementById(id);

/** Whether the browser lets this page record; it does from this machine and over https. */
export const canRecord = Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);

/** Record, with a preview, until somebody is content: a file, or null. `what` is "camera" or "screen". */
export async function record(what) {
  const asked = { video: true, audio: false };
  const stream = await (what === "screen" ? navigator.mediaDevices.getDisplayMedia(asked) : navigator.mediaDevices.getUserMedia(asked));
  const dialog = at("recording"), preview = at("preview");
  const recorder = new MediaRecorder(stream, { mimeType: TYPES.find((type) => MediaRecorder.isTypeSupported(type)) });
  const pieces = [];
  recorder.ondataavailable = (event) => pieces.push(event.data);
  const began = performance.now();
  const ticking = setInterval(() => {
    const seconds = Math.floor((performance.now() - began) / 1000);
    at("recorded").textContent = `${seconds} s`;
    if (seconds >= MOST_S) at("recording-done").click();
  }, 250);
  preview.srcObject = stream;
  preview.play().catch(() => {});
  recorder.start(1000);
  at("recorded").textContent = "0 s";
  dialog.showModal();
  const wanted = await choice(dialog, stream);
  clearInterval(ticking);
  await ended(recorder);
  stream.getTracks().forEach((track) => track.stop());
  preview.srcObject = null;
  dialog.close();
  const type = recorder.mimeType.split(";")[0];
  return wanted ? new File(pieces, `${what}.${type === "video/mp4" ? "mp4" : "webm"}`, { type }) : null;
}

function choice(dialog, stream) {
  return new Promise((resolve) => {
    at("recording-done").onclick = () => resolve(true);
    at("recording-cancel").onclick = () => resolve(false);
    dialog.oncancel = () => resolve(false);
    stream.getVideoTracks()[0].onended = () => resolve(true); // "stop sharing" of the browser itself
  });
}

function ended(recorder) {
  return new Promise((resolve) => {
    if (recorder.state === "inactive") return resolve();
    recorder.onstop = () => resolve();
    recorder.stop();
  });
}
