// Draws the frames that are shown at given seconds of a clip, with a second copy of the video that nobody sees.

const WIDTH_PX = 224; // twice what is shown, for fine screens
const PATIENCE_MS = 8000;
const NEW_FRAME_MS = 1000;

/** Draw the frames, one after the other; `onFrame(second, canvas)` gets each; false where they cannot be drawn. */
export async function drawFrames(clip, seconds, onFrame, signal) {
  const open = seconds.filter((s) => !clip.pictures.has(s));
  for (const s of seconds) if (clip.pictures.has(s)) onFrame(s, clip.pictures.get(s));
  if (!open.length) return true;
  const video = document.createElement("video");
  Object.assign(video, { muted: true, preload: "auto", playsInline: true, src: clip.url });
  try {
    await happens(video, "loadeddata", signal);
    for (const s of open) {
      const canvas = await frameAt(video, s, signal);
      clip.pictures.set(s, canvas);
      onFrame(s, canvas);
    }
    return true;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return false;
  } finally {
    video.removeAttribute("src");
    video.load();
  }
}

async function frameAt(video, second, signal) {
  // A little behind its beginning, or rounding shows the frame before; never behind the end.
  const wanted = Math.min(second + 0.004, Math.max(video.duration - 0.001, 0));
  const shown = newFrame(video);
  video.currentTime = wanted;
  await happens(video, "seeked", signal);
  await shown;
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH_PX;
  canvas.height = Math.round((WIDTH_PX * video.videoHeight) / (video.videoWidth || 1)) || WIDTH_PX;
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas;
}

// "seeked" may come before the picture does. Two times may share a frame: then no new one comes, ever.
const drawnAt = new WeakMap();

function newFrame(video) {
  if (!video.requestVideoFrameCallback) return new Promise((done) => setTimeout(done, NEW_FRAME_MS));
  return new Promise((done) => {
    const timer = setTimeout(done, NEW_FRAME_MS);
    const look = (_, { mediaTime }) => {
      if (mediaTime === drawnAt.get(video)) {
        video.requestVideoFrameCallback(look);
        return;
      }
      drawnAt.set(video, mediaTime);
      clearTimeout(timer);
      done();
    };
    video.requestVideoFrameCallback(look);
  });
}

/** Wait for an event of a video. */
export function happens(video, name, signal) {
  return new Promise((resolve, reject) => {
    const end = new AbortController();
    const stop = (act, value) => {
      end.abort();
      clearTimeout(timer);
      act(value);
    };
    const timer = setTimeout(() => stop(reject, new Error(`no ${name}`)), PATIENCE_MS);
    video.addEventListener(name, () => stop(resolve), { signal: end.signal });
    video.addEventListener("error", () => stop(reject, video.error ?? new Error("no video")), { signal: end.signal });
    signal?.addEventListener("abort", () => stop(reject, signal.reason), { signal: end.signal });
    if (signal?.aborted) stop(reject, signal.reason);
  });
}
