// Finds times in an answer, in the ways that people and models write them, and writes times itself.
// It knows numbers and words of time, and no clip but for its length.

// Every script's digits have the value of their place: ٣, ３ and ३ are 3. The text keeps its length.
const ZEROS = [0x660, 0x6f0, 0x966, 0x9e6, 0xe50, 0xff10];
const HAN = "零一二三四五六七八九";

const NUMBER = String.raw`\d+(?:[.,]\d+)?`;
// Longer spellings first. A letter behind would make it another word: "3 sheep".
const SECOND = "seconds?|secondes?|secondi|secondo|segundos?|sekunden?|секунд[аыуе]?|секунду|сек|secs?|seg|sek|s|с|ث|ثانية|ثوان[يٍ]?|सेकंड|সেকেন্ড|秒钟|秒鐘|秒|초|วินาที";
const MINUTE = "minutes?|minutos?|minuten?|minuti|minuto|минут[аыуе]?|мин|mins?|min|m|دقيقة|دقائق|मिनट|分钟|分鐘|分|분|นาที";
const AND = String.raw`\s*(?:,|and|y|e|et|und|и|و)?\s*`;
const BEFORE = String.raw`(?<![\p{L}\p{N}.,:])`;
const AFTER = String.raw`(?![\p{L}\p{N}])`;
// Between Han, Kana, Hangul and Thai there are no spaces: letters may stand on either side there.
const AFTER_UNIT = String.raw`(?![a-zA-Zа-яА-ЯÀ-ž\u0600-\u06ff\u0900-\u09ff\p{N}])`;
const BEFORE_NUMBER = String.raw`(?<![a-zA-Zа-яА-ЯÀ-ž\p{N}.,:])`;

const CLOCK = new RegExp(`${BEFORE_NUMBER}(?:(\\d{1,2}):)?(\\d{1,3}):([0-5]\\d(?:[.,]\\d+)?)(?![\\d:]|[.,]\\d)`, "gu");
const UNITS = new RegExp(
  `${BEFORE_NUMBER}(?:(${NUMBER})\\s*(?:${MINUTE})${AND}(?=\\d))?(${NUMBER})\\s*-?(?:${SECOND})${AFTER_UNIT}`, "giu");
const RANGE = new RegExp(
  `${BEFORE_NUMBER}(${NUMBER})(?=\\s*(?:-|–|—|~|～|to|and|y|a|al|e|et|à|und|bis|到|至|和|и|до|から)\\s*${NUMBER}\\s*(?:${SECOND})${AFTER_UNIT})`, "giu");
const NAMED = new RegExp(
  `${BEFORE}(?:seconds?|segundos?|secondes?|secondo|sekunde|секунд[аеыу])\\s+(${NUMBER})${AFTER}`, "giu");

const value = (written) => Number(written.replace(",", "."));

const FORMS = [
  [CLOCK, (m) => 3600 * Number(m[1] ?? 0) + 60 * Number(m[2]) + value(m[3])],
  [UNITS, (m) => 60 * value(m[1] ?? "0") + value(m[2])],
  [RANGE, (m) => value(m[1])],
  [NAMED, (m) => value(m[1])],
];

function plainDigits(text) {
  const digits = text.replace(/\p{Nd}/gu, (digit) => {
    const zero = ZEROS.find((z) => digit.codePointAt(0) >= z && digit.codePointAt(0) <= z + 9);
    return zero === undefined ? digit : String(digit.codePointAt(0) - zero);
  });
  return digits.replace(/：/g, ":").replace(/([零一二三四五六七八九])(?=\s*秒)/g, (han) => String(HAN.indexOf(han)))
    .replace(/[٫．]/g, ".");
}

/**
 * Find the times in a text: [{start, end, seconds}] with the places of their letters, in order.
 * What lies behind `longest` seconds is no time of this clip, such as the hour in "at 10:30".
 */
export function findTimes(text, longest = Infinity) {
  const plain = plainDigits(text);
  if (plain.length !== text.length) return []; // cannot be: every replacement keeps the length
  const found = [];
  for (const [pattern, seconds] of FORMS) {
    for (const match of plain.matchAll(pattern)) {
      const one = { start: match.index, end: match.index + match[0].length, seconds: seconds(match) };
      const free = found.every((other) => one.end <= other.start || one.start >= other.end);
      if (free && one.seconds <= longest) found.push(one);
    }
  }
  return found.sort((a, b) => a.start - b.start);
}

/** Write a time: "2.5 s", "1:02.5", "1:00:05". */
export function writeTime(seconds) {
  const rounded = Math.round(seconds * 100) / 100;
  if (rounded < 60) return `${rounded} s`;
  const whole = Math.floor(rounded), rest = rounded - whole;
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = rest > 0.004 ? rest.toFixed(2).slice(1).replace(/0$/, "") : "";
  const two = (n) => String(n).padStart(2, "0");
  return (h ? `${h}:${two(m)}` : `${m}`) + `:${two(s)}${tail}`;
}
