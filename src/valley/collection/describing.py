"""How one asks for a caption: short requests in ten languages, as data.

`{it}` stands for the medium ("this video"), `{in_it}` for the place where one sees something ("in this
video"). A caption answers a short request, a description one for details.
"""

from __future__ import annotations

from collections.abc import Mapping

OTHER_LANGUAGE = "en"
"""In which language to ask where a caption's own is not here."""

MEDIA: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "ar": {"video": ("هذا الفيديو", "في هذا الفيديو"), "image": ("هذه الصورة", "في هذه الصورة")},
    "de": {"video": ("dieses Video", "in diesem Video"), "image": ("dieses Bild", "auf diesem Bild")},
    "en": {"video": ("this video", "in this video"), "image": ("this picture", "in this picture")},
    "es": {"video": ("este video", "en este video"), "image": ("esta imagen", "en esta imagen")},
    "fr": {"video": ("cette vidéo", "dans cette vidéo"), "image": ("cette image", "sur cette image")},
    "hi": {"video": ("इस वीडियो", "इस वीडियो में"), "image": ("इस चित्र", "इस चित्र में")},
    "ja": {"video": ("この動画", "この動画に"), "image": ("この画像", "この画像に")},
    "pt": {"video": ("este vídeo", "neste vídeo"), "image": ("esta imagem", "nesta imagem")},
    "ru": {"video": ("это видео", "на этом видео"), "image": ("это изображение", "на этом изображении")},
    "zh": {"video": ("这段视频", "这段视频里"), "image": ("这张图片", "这张图片里")},
}
"""`{it}` and `{in_it}`."""

REQUESTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "ar": {
        "caption": (
            "صف {it} بإيجاز.",
            "ماذا يظهر {in_it}؟",
            "لخّص {it} في جملة واحدة.",
            "ما الذي نراه {in_it}؟",
        ),
        "description": (
            "صف {it} بالتفصيل.",
            "اشرح بالتفصيل ما يظهر {in_it}.",
            "ما الذي نراه {in_it}؟ أجب بالتفصيل.",
        ),
    },
    "de": {
        "caption": (
            "Beschreibe {it} kurz.",
            "Was zeigt {it}?",
            "Fasse {it} in einem Satz zusammen.",
            "Was ist {in_it} zu sehen?",
            "Sag in wenigen Worten, was {it} zeigt.",
        ),
        "description": (
            "Beschreibe {it} ausführlich.",
            "Beschreibe {it} in allen Einzelheiten.",
            "Was ist {in_it} zu sehen? Antworte ausführlich.",
            "Erkläre ausführlich, was {it} zeigt.",
        ),
    },
    "en": {
        "caption": (
            "Describe {it} briefly.",
            "What does {it} show?",
            "Give a short description of {it}.",
            "Summarise {it} in one sentence.",
            "What can be seen {in_it}?",
            "Write a caption for {it}.",
        ),
        "description": (
            "Describe {it} in detail.",
            "Give a detailed description of {it}.",
            "Tell me in detail what {it} shows.",
            "What can be seen {in_it}? Go into detail.",
        ),
    },
    "es": {
        "caption": (
            "Describe brevemente {it}.",
            "¿Qué muestra {it}?",
            "Da una breve descripción de {it}.",
            "Resume {it} en una frase.",
            "¿Qué se ve {in_it}?",
        ),
        "description": (
            "Describe {it} en detalle.",
            "Da una descripción detallada de {it}.",
            "Cuéntame con detalle qué muestra {it}.",
            "¿Qué se ve {in_it}? Explícalo con detalle.",
        ),
    },
    "fr": {
        "caption": (
            "Décris brièvement {it}.",
            "Que montre {it} ?",
            "Donne une courte description de {it}.",
            "Résume {it} en une phrase.",
            "Que voit-on {in_it} ?",
        ),
        "description": (
            "Décris {it} en détail.",
            "Donne une description détaillée de {it}.",
            "Explique en détail ce que montre {it}.",
            "Que voit-on {in_it} ? Donne des détails.",
        ),
    },
    "hi": {
        "caption": (
            "{it} का संक्षेप में वर्णन करें।",
            "{in_it} क्या दिखाया गया है?",
            "{it} का एक छोटा विवरण दें।",
            "{in_it} क्या दिख रहा है?",
        ),
        "description": (
            "{it} का विस्तार से वर्णन करें।",
            "{it} का विस्तृत विवरण दें।",
            "{in_it} जो दिख रहा है, उसे विस्तार से बताएँ।",
        ),
    },
    "ja": {
        "caption": (
            "{it}を簡単に説明してください。",
            "{in_it}は何が見えますか？",
            "{it}を一文で要約してください。",
            "{it}の内容を短く述べてください。",
        ),
        "description": (
            "{it}を詳しく説明してください。",
            "{it}の内容を詳しく述べてください。",
            "{in_it}見えるものを詳しく教えてください。",
        ),
    },
    "pt": {
        "caption": (
            "Descreva {it} brevemente.",
            "O que {it} mostra?",
            "Resuma {it} em uma frase.",
            "O que se vê {in_it}?",
            "Escreva uma legenda para {it}.",
        ),
        "description": (
            "Descreva {it} em detalhes.",
            "Explique em detalhes o que {it} mostra.",
            "O que se vê {in_it}? Responda em detalhes.",
        ),
    },
    "ru": {
        "caption": (
            "Кратко опиши {it}.",
            "Что показано {in_it}?",
            "Опиши {it} одним предложением.",
            "Коротко расскажи, что видно {in_it}.",
        ),
        "description": (
            "Подробно опиши {it}.",
            "Опиши {it} во всех подробностях.",
            "Подробно расскажи, что видно {in_it}.",
            "Что показано {in_it}? Ответь подробно.",
        ),
    },
    "zh": {
        "caption": (
            "简要描述{it}。",
            "{it}展示了什么？",
            "用一句话概括{it}。",
            "{in_it}可以看到什么？",
            "请为{it}写一句说明。",
        ),
        "description": (
            "详细描述{it}。",
            "请详细说明{it}的内容。",
            "{in_it}可以看到什么？请详细说明。",
        ),
    },
}


def request_for(text_id: str, *, language: str, text_kind: str, media_kind: str) -> str:
    """Choose the request that a caption answers: by its id alone, so that other captions have no say in it.

    Args:
        text_id: hexadecimal, as the manifest has it.
        language: BCP-47 tag of the caption; its first part decides.
        text_kind: "caption" or "description".
        media_kind: "video" or "image".
    """
    spoken = language.partition("-")[0].lower()
    spoken = spoken if spoken in REQUESTS else OTHER_LANGUAGE
    requests = REQUESTS[spoken][text_kind]
    it, in_it = MEDIA[spoken][media_kind]
    asked = requests[int(text_id[:12], 16) % len(requests)].format(it=it, in_it=in_it)
    return asked[0].upper() + asked[1:]
