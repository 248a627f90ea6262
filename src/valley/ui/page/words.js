// What the page says, in its three languages; {name} stands for a value.

export const WORDS = {
  en: {
    skip: "Skip to the question", model: "Model", conversation: "Conversation", new_chat: "New chat", save: "Save",
    save_json: "As JSON", save_markdown: "As Markdown", settings: "Settings", clips: "Clips and pictures",
    invitation: "Drop a video or a picture here", choose_file: "Choose a file",
    unplayable: "This browser cannot play this format. The model may still be able to read it.",
    window: "The part that the model is shown", from: "from", to: "to", from_here: "From here", to_here: "To here",
    whole: "Whole clip", window_wrong: "The part must begin inside the clip and end behind its start.",
    seen: "Frames that the model saw", seen_none: "Ask a question, and the frames that the model saw appear here.",
    seen_untold: "This server does not tell which frames its model saw.",
    seen_not_yet: "No answer has been about this clip yet.", seen_missing: "Could not be read: {times}.",
    seen_picture: "The model saw this picture.", frame_at: "Frame at {time}", jump: "Jump to {time}",
    at: "The player is at {time}", welcome: "Ask about a video",
    welcome_how: "Add a clip or a picture, ask in any language, and see which frames the answer stands on.",
    loading: "The server is loading its model…", examples: "Try one of these", attached: "For the next question", question: "Question",
    question_here: "Ask about the clip", add: "Add a clip", camera: "Camera", screen: "Screen", stop: "Stop",
    send: "Ask", enter_sends: "Enter asks, Shift and Enter begins a new line.", options: "Options",
    answer_in: "Answer in", as_asked: "the question's language", frames: "Frames", frames_default: "as the model does",
    frames_number: "so many", frames_fps: "so many a second", how_many: "How many",
    longest: "Most tokens", page_language: "Language of this page", look: "Look",
    look_system: "as the system", look_light: "light", look_dark: "dark",
    api_key: "Key of the server, if it wants one", api_key_note: "It is kept until this page is closed.",
    keys: "Keys", key_send: "ask", key_line: "new line", key_stop: "stop the answer", key_add: "add a clip",
    key_new: "new chat", key_again: "another answer", key_copy: "copy the last answer", key_play: "play or pause",
    key_frames: "frame before, next frame", close: "Close", recording: "Recording",
    recording_most: "of 60 s at most; without sound", recording_done: "Use it", recording_cancel: "Discard",
    you: "You", sending: "Sending the clip…", waiting: "Waiting for the first word…", stopped: "Stopped.",
    cut: "The answer reached its limit of tokens.", copy: "Copy", copied: "Copied", again: "Another answer",
    try_again: "Try again", frames_of: "Frames ({n})", remove: "Remove {name}",
    tokens: "{prompt} tokens read, {visual} of them seen; {completion} written; {seconds} s",
    tokens_only: "{prompt} tokens read, {completion} written; {seconds} s", seconds_only: "{seconds} s",
    answering: "The answer begins.", done: "The answer is complete.",
    error_reach: "The server cannot be reached. Is it running?",
    error_key: "The server wants a key; give it in the settings.",
    error_busy: "The server is busy; try again in {n} s.", error_cut: "The connection broke before the answer ended.",
    error_empty: "The server gave an empty answer.", error_other: "The server says: {message}",
    error_kind: "{name} is neither a video nor a picture.", error_models: "The server names no model.",
    error_camera: "The recording could not be made: {message}", error_example: "The example could not be loaded.",
    error_no_record: "Recording needs a page from this machine or over https.",
  },
  zh: {
    skip: "跳到提问框", model: "模型", conversation: "对话", new_chat: "新对话", save: "保存",
    save_json: "存为 JSON", save_markdown: "存为 Markdown", settings: "设置", clips: "视频和图片",
    invitation: "把视频或图片拖到这里", choose_file: "选择文件",
    unplayable: "此浏览器无法播放这种格式，但模型也许仍能读取。",
    window: "给模型看的片段", from: "从", to: "到", from_here: "从当前位置", to_here: "到当前位置",
    whole: "整个视频", window_wrong: "片段必须从视频之内开始，并在开始之后结束。",
    seen: "模型看到的画面", seen_none: "提问之后，模型看到的画面会显示在这里。",
    seen_untold: "此服务器不说明模型看到了哪些画面。",
    seen_not_yet: "还没有关于这个视频的回答。", seen_missing: "无法读取：{times}。",
    seen_picture: "模型看到了这张图片。", frame_at: "{time} 的画面", jump: "跳到 {time}",
    at: "播放器位于 {time}", welcome: "就视频提问",
    welcome_how: "添加视频或图片，用任何语言提问，并看到回答所依据的画面。",
    loading: "服务器正在加载模型…", examples: "试试这些", attached: "用于下一个问题", question: "问题",
    question_here: "就视频提问", add: "添加视频", camera: "摄像头", screen: "屏幕", stop: "停止",
    send: "提问", enter_sends: "按 Enter 提问，按 Shift 和 Enter 换行。", options: "选项",
    answer_in: "回答语言", as_asked: "与问题相同", frames: "帧数", frames_default: "由模型决定",
    frames_number: "固定数量", frames_fps: "每秒数量", how_many: "数量",
    longest: "词元上限", page_language: "页面语言", look: "外观",
    look_system: "跟随系统", look_light: "浅色", look_dark: "深色",
    api_key: "服务器的密钥（如果需要）", api_key_note: "只保留到关闭此页面为止。",
    keys: "快捷键", key_send: "提问", key_line: "换行", key_stop: "停止回答", key_add: "添加视频",
    key_new: "新对话", key_again: "换一个回答", key_copy: "复制最后的回答", key_play: "播放或暂停",
    key_frames: "上一帧，下一帧", close: "关闭", recording: "录制",
    recording_most: "，最多 60 秒；不录声音", recording_done: "使用", recording_cancel: "放弃",
    you: "你", sending: "正在发送视频…", waiting: "正在等待第一个词…", stopped: "已停止。",
    cut: "回答达到了词元上限。", copy: "复制", copied: "已复制", again: "换一个回答",
    try_again: "重试", frames_of: "画面（{n}）", remove: "移除 {name}",
    tokens: "读取 {prompt} 个词元，其中 {visual} 个来自画面；写出 {completion} 个；{seconds} 秒",
    tokens_only: "读取 {prompt} 个词元，写出 {completion} 个；{seconds} 秒", seconds_only: "{seconds} 秒",
    answering: "回答开始。", done: "回答完毕。",
    error_reach: "无法连接服务器。它在运行吗？",
    error_key: "服务器需要密钥，请在设置中填写。",
    error_busy: "服务器繁忙，请在 {n} 秒后重试。", error_cut: "回答结束之前连接中断了。",
    error_empty: "服务器给出了空的回答。", error_other: "服务器说：{message}",
    error_kind: "{name} 既不是视频也不是图片。", error_models: "服务器没有列出任何模型。",
    error_camera: "无法录制：{message}", error_example: "无法加载示例。",
    error_no_record: "只有本机或 https 页面才能录制。",
  },
  es: {
    skip: "Ir a la pregunta", model: "Modelo", conversation: "Conversación", new_chat: "Nueva conversación",
    save: "Guardar", save_json: "Como JSON", save_markdown: "Como Markdown", settings: "Ajustes",
    clips: "Vídeos e imágenes", invitation: "Suelta aquí un vídeo o una imagen", choose_file: "Elegir un archivo",
    unplayable: "Este navegador no puede reproducir este formato. Quizá el modelo sí pueda leerlo.",
    window: "La parte que se muestra al modelo", from: "de", to: "a", from_here: "Desde aquí", to_here: "Hasta aquí",
    whole: "Todo el vídeo", window_wrong: "La parte debe empezar dentro del vídeo y terminar después de su inicio.",
    seen: "Fotogramas que vio el modelo",
    seen_none: "Haz una pregunta y aquí aparecerán los fotogramas que vio el modelo.",
    seen_untold: "Este servidor no dice qué fotogramas vio su modelo.",
    seen_not_yet: "Todavía no hay ninguna respuesta sobre este vídeo.", seen_missing: "No se pudo leer: {times}.",
    seen_picture: "El modelo vio esta imagen.", frame_at: "Fotograma en {time}", jump: "Ir a {time}",
    at: "El reproductor está en {time}", welcome: "Pregunta sobre un vídeo",
    welcome_how: "Añade un vídeo o una imagen, pregunta en cualquier idioma y mira en qué fotogramas se apoya la respuesta.",
    loading: "El servidor está cargando su modelo…", examples: "Prueba una de estas", attached: "Para la próxima pregunta", question: "Pregunta",
    question_here: "Pregunta sobre el vídeo", add: "Añadir", camera: "Cámara", screen: "Pantalla",
    stop: "Parar", send: "Preguntar", enter_sends: "Intro pregunta; Mayús e Intro empieza otra línea.",
    options: "Opciones", answer_in: "Responder en", as_asked: "el idioma de la pregunta", frames: "Fotogramas",
    frames_default: "como el modelo", frames_number: "tantos", frames_fps: "tantos por segundo", how_many: "Cuántos",
    longest: "Tokens como mucho", page_language: "Idioma de esta página", look: "Aspecto",
    look_system: "como el sistema", look_light: "claro", look_dark: "oscuro",
    api_key: "Clave del servidor, si la pide", api_key_note: "Se conserva hasta que se cierre esta página.",
    keys: "Teclas", key_send: "preguntar", key_line: "línea nueva", key_stop: "parar la respuesta",
    key_add: "añadir un vídeo", key_new: "nueva conversación", key_again: "otra respuesta",
    key_copy: "copiar la última respuesta", key_play: "reproducir o pausar",
    key_frames: "fotograma anterior, siguiente", close: "Cerrar", recording: "Grabación",
    recording_most: "de 60 s como mucho; sin sonido", recording_done: "Usarla", recording_cancel: "Descartar",
    you: "Tú", sending: "Enviando el vídeo…", waiting: "Esperando la primera palabra…", stopped: "Parada.",
    cut: "La respuesta llegó a su límite de tokens.", copy: "Copiar", copied: "Copiada", again: "Otra respuesta",
    try_again: "Reintentar", frames_of: "Fotogramas ({n})", remove: "Quitar {name}",
    tokens: "{prompt} tokens leídos, {visual} de ellos vistos; {completion} escritos; {seconds} s",
    tokens_only: "{prompt} tokens leídos, {completion} escritos; {seconds} s", seconds_only: "{seconds} s",
    answering: "Empieza la respuesta.", done: "La respuesta está completa.",
    error_reach: "No se puede llegar al servidor. ¿Está en marcha?",
    error_key: "El servidor pide una clave; ponla en los ajustes.",
    error_busy: "El servidor está ocupado; reinténtalo en {n} s.",
    error_cut: "La conexión se rompió antes de que terminara la respuesta.",
    error_empty: "El servidor dio una respuesta vacía.", error_other: "El servidor dice: {message}",
    error_kind: "{name} no es ni un vídeo ni una imagen.", error_models: "El servidor no nombra ningún modelo.",
    error_camera: "No se pudo grabar: {message}", error_example: "No se pudo cargar el ejemplo.",
    error_no_record: "Para grabar, la página debe venir de esta máquina o por https.",
  },
};

// Languages to answer in; each is shown by its own name.
export const ANSWER_LANGUAGES = [
  "en", "zh", "es", "ar", "bn", "de", "fr", "hi", "id", "it", "ja", "ko", "nl", "pl", "pt", "ru", "sw", "th", "tr", "uk", "ur", "vi",
];

let language = "en";

/** Say something in the page's language. */
export function t(key, values = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Choose among the languages of the page the first that somebody reads. */
export function firstKnown(tags) {
  return tags.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in WORDS) ?? "en";
}

/** Put the page into a language. */
export function speak(chosen) {
  language = chosen in WORDS ? chosen : "en";
  document.documentElement.lang = language;
  for (const one of document.querySelectorAll("[data-t]")) one.textContent = t(one.dataset.t);
  for (const one of document.querySelectorAll("[data-t-label]")) one.setAttribute("aria-label", t(one.dataset.tLabel));
  for (const one of document.querySelectorAll("[data-t-placeholder]")) one.placeholder = t(one.dataset.tPlaceholder);
  return language;
}
