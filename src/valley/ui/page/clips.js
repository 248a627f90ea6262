// Clips and pictures that somebody attached: the file, how it is shown, and how it is sent.

import { forget, upload } from "./api.js";

const VIDEO_NAMES = { mp4: "mp4", m4v: "mp4", mov: "quicktime", mkv: "x-matroska", webm: "webm", avi: "x-msvideo", ts: "mp2t", flv: "x-flv", mpg: "mpeg", mpeg: "mpeg", "3gp": "3gpp", wmv: "x-ms-wmv", ogv: "ogg" };
const names = new Set();

/** One clip or picture. */
export class Clip {
  constructor(file, kind) {
    this.file = file;
    this.kind = kind;
    this.name = ownName(file.name || (kind === "video" ? "clip.mp4" : "picture.png"));
    this.url = URL.createObjectURL(file);
    this.startS = null;
    this.endS = null;
    this.durationS = null;
    this.pictures = new Map(); // second -> canvas with the frame that is shown then
    this.sent = null; // promise of the file's id at the server
  }

  /** Give the part of a message that shows it to the model. */
  async part(keepsFiles, signal) {
    const url = keepsFiles ? await this.#id(signal) : await this.#dataUrl();
    if (this.kind === "image") return { type: "image_url", image_url: { url } };
    const window = {};
    if (this.startS !== null) window.start = this.startS;
    if (this.endS !== null) window.end = this.endS;
    return { type: "video_url", video_url: { url, ...window } };
  }

  #id(signal) {
    this.sent ??= upload(this.file, this.name, signal).catch((error) => {
      this.sent = null;
      throw error;
    });
    return this.sent;
  }

  #dataUrl() {
    const type = this.file.type || `video/${VIDEO_NAMES[ending(this.name)] ?? "mp4"}`;
    return new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(`data:${type.split(";")[0]};base64,${reader.result.split(",", 2)[1] ?? ""}`);
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(this.file);
    });
  }

  /** Let go of the memory here and of the file at the server. */
  drop() {
    URL.revokeObjectURL(this.url);
    names.delete(this.name);
    this.pictures.clear();
    this.sent?.then(forget, () => {});
    this.sent = null;
  }
}

/** Make a clip of a file; null where it is neither a video nor a picture. */
export function clipOf(file) {
  if (file.type.startsWith("image/")) return new Clip(file, "image");
  const isVideo = file.type.startsWith("video/") || ending(file.name) in VIDEO_NAMES;
  return isVideo ? new Clip(file, "video") : null;
}

const ending = (name) => name.slice(name.lastIndexOf(".") + 1).toLowerCase();

// Two files may have the same name; in the page, and in what is saved, they have two.
function ownName(name) {
  const dot = name.lastIndexOf(".") > 0 ? name.lastIndexOf(".") : name.length;
  let own = name;
  for (let n = 2; names.has(own); n += 1) own = `${name.slice(0, dot)} (${n})${name.slice(dot)}`;
  names.add(own);
  return own;
}
