"""Captions from a small grammar in twelve languages, for benchmarks and tests: as many as wanted.

Which things a caption names follows Zipf's law, as in what people write: a few everywhere, many once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from valley.collection.caption_filter import Caption


@dataclass(frozen=True)
class Grammar:
    """Words of a language, from frequent to rare, and how they stand together."""

    adjectives: tuple[str, ...]
    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    places: tuple[str, ...]
    sentence: str = "{a} {n} {v} {p}"
    with_other: str = "{s} {a} {n}"
    name: str = "{n}"


def _grammar(adjectives: str, nouns: str, verbs: str, places: str, *patterns: str) -> Grammar:
    def parts(text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split(","))

    return Grammar(parts(adjectives), parts(nouns), parts(verbs), parts(places), *patterns)


GRAMMARS: Mapping[str, Grammar] = {
    "en": _grammar(
        "young, small, red, old, white, black, tall, happy, wooden, blue, brown, tiny, elderly, yellow, wet",
        "man, woman, dog, car, child, boat, cat, horse, cook, bird, player, tree, bridge, train, "
        "guitar, dancer, "
        "goat, kite, candle, tractor, violin, lighthouse, surfer, hedgehog",
        "is walking, is playing, stands, is running, moves slowly, is talking, is jumping, waits",
        "in the street, on the beach, in a kitchen, near the river, in the park, on a mountain, "
        "behind the house, "
        "under a bridge, in the snow, on a stage, at the harbour, in an empty stadium",
        "A {a} {n} {v} {p}",
        "{s} while a {a} {n} is watching",
        "{s} with {n}",
    ),
    "de": _grammar(
        "junge, kleine, rote, alte, weiße, schwarze, große, fröhliche, blaue, braune, winzige, nasse",
        "Frau, Katze, Ente, Köchin, Ziege, Tänzerin, Kuh, Maus, Taube, Spielerin, Sängerin, Biene, "
        "Eule, Schildkröte",
        "läuft, spielt, steht, springt, wartet, singt, geht langsam",
        "auf der Straße, am Strand, in der Küche, am Fluss, im Park, auf dem Berg, hinter dem Haus, "
        "im Schnee",
        "Eine {a} {n} {v} {p}",
        "{s}, während eine {a} {n} zusieht",
        "{s} mit {n}",
    ),
    "nl": _grammar(
        "jonge, kleine, rode, oude, witte, zwarte, grote, vrolijke, blauwe, bruine",
        "man, vrouw, hond, auto, kat, boot, kok, vogel, boom, brug, trein, danser, geit, kaars",
        "loopt, speelt, staat, springt, wacht, zingt",
        "op straat, op het strand, in de keuken, bij de rivier, in het park, op de berg, achter het huis",
        "Een {a} {n} {v} {p}",
        "{s} terwijl een {a} {n} kijkt",
        "{s} met {n}",
    ),
    "fr": _grammar(
        "rouge, jeune, blanche, noire, heureuse, bleue, brune, minuscule, mouillée",
        "femme, voiture, barque, chèvre, danseuse, maison, vache, souris, chanteuse, abeille, "
        "tortue, guitare",
        "avance, joue, attend, saute, tourne, chante",
        "dans la rue, sur la plage, dans la cuisine, près de la rivière, dans le parc, sur la montagne",
        "Une {n} {a} {v} {p}",
        "{s} pendant qu'une {n} {a} regarde",
        "{s} avec {n}",
    ),
    "es": _grammar(
        "roja, joven, blanca, negra, feliz, azul, pequeña, vieja, mojada",
        "mujer, barca, cabra, bailarina, casa, vaca, cantante, abeja, tortuga, guitarra, cocinera, paloma",
        "camina, juega, espera, salta, gira, canta",
        "en la calle, en la playa, en la cocina, junto al río, en el parque, en la montaña",
        "Una {n} {a} {v} {p}",
        "{s} mientras una {n} {a} mira",
        "{s} con {n}",
    ),
    "pt": _grammar(
        "vermelha, jovem, branca, preta, feliz, azul, pequena, velha, molhada",
        "mulher, canoa, cabra, bailarina, casa, vaca, cantora, abelha, tartaruga, guitarra, "
        "cozinheira, pomba",
        "caminha, brinca, espera, salta, gira, canta",
        "na rua, na praia, na cozinha, perto do rio, no parque, na montanha",
        "Uma {n} {a} {v} {p}",
        "{s} enquanto uma {n} {a} olha",
        "{s} com {n}",
    ),
    "ru": _grammar(
        "маленькая, красная, старая, белая, чёрная, молодая, синяя, мокрая",
        "женщина, собака, машина, лодка, кошка, лошадь, птица, коза, черепаха, гитара, певица, корова",
        "идёт, играет, стоит, прыгает, ждёт, поёт",
        "на улице, на пляже, на кухне, у реки, в парке, на горе, за домом",
        "{a} {n} {v} {p}",
        "{s}, а {a} {n} смотрит",
        "{s} с {n}",
    ),
    "ar": _grammar(
        "صغيرة, حمراء, قديمة, بيضاء, سوداء, زرقاء, سعيدة",
        "امرأة, سيارة, قطة, طفلة, سفينة, بقرة, نحلة, سلحفاة, دراجة, طائرة",
        "تمشي, تلعب, تقف, تقفز, تنتظر, تغني",
        "في الشارع, على الشاطئ, في المطبخ, قرب النهر, في الحديقة, على الجبل",
        "{n} {a} {v} {p}",
        "{s} و{n} {a} تنظر",
        "{s} مع {n}",
    ),
    "hi": _grammar(
        "छोटा, लाल, पुराना, सफ़ेद, काला, नीला, खुश",
        "कुत्ता, आदमी, लड़का, घोड़ा, पक्षी, बकरा, खिलाड़ी, रसोइया, बंदर, हाथी",
        "चल रहा है, खेल रहा है, खड़ा है, कूद रहा है, गा रहा है",
        "सड़क पर, समुद्र तट पर, रसोई में, नदी के पास, पार्क में, पहाड़ पर",
        "एक {a} {n} {p} {v}",
        "{s} और एक {a} {n} देख रहा है",
        "{n} के साथ {s}",
    ),
    "zh": _grammar(
        "小, 红色的, 年轻的, 白色的, 黑色的, 快乐的, 蓝色的, 老",
        "女人, 男人, 小狗, 汽车, 猫咪, 骏马, 厨师, 小鸟, 山羊, 吉他手, 灯塔, 拖拉机",
        "走路, 玩耍, 等待, 跳舞, 唱歌, 奔跑",
        "在街道上, 在沙滩上, 在厨房里, 在河边, 在公园里, 在山顶",
        "一个{a}{n}{p}{v}",
        "{s}，一个{a}{n}看着",
        "{n}与{s}",
    ),
    "ja": _grammar(
        "小さな, 赤い, 若い, 白い, 黒い, 青い, 古い",
        "女性, 男性, 子犬, 自動車, 子猫, 料理人, 小鳥, 選手, 船舶, ギター, トラクター, 灯台",
        "歩いている, 遊んでいる, 待っている, 踊っている, 歌っている",
        "道路で, 海岸で, 台所で, 川辺で, 公園で, 山頂で",
        "{a}{n}が{p}{v}",
        "{s}。{a}{n}が見ている",
        "{n}と{s}",
    ),
    "th": _grammar(
        "สีแดง, ตัวเล็ก, สีขาว, สีดำ, สีฟ้า",
        "ผู้หญิง, ผู้ชาย, สุนัข, รถยนต์, แมว, เรือ, ม้า, นก, แพะ, กีตาร์",
        "กำลังเดิน, กำลังเล่น, กำลังรอ, กำลังเต้น, กำลังร้องเพลง",
        "บนถนน, บนชายหาด, ในครัว, ริมแม่น้ำ, ในสวน, บนภูเขา",
        "{n}{a}{v}{p}",
        "{s} และ{n}{a}กำลังมอง",
        "{s}กับ{n}",
    ),
}

_SYLLABLES = [
    "ka",
    "lo",
    "mi",
    "ra",
    "ten",
    "vor",
    "su",
    "dal",
    "ri",
    "no",
    "bel",
    "ha",
    "za",
    "pi",
    "gu",
    "sten",
]


def captions(
    number: int, *, languages: tuple[str, ...] = tuple(GRAMMARS), seed: int = 0
) -> Iterator[Caption]:
    """Yield captions, in the languages by turns; a third of them name what hardly any other does."""
    rng = random.Random(seed)
    weights = {name: (_weights(g.adjectives), _weights(g.nouns)) for name, g in GRAMMARS.items()}
    for i in range(number):
        language = languages[i % len(languages)]
        grammar, (of_adjectives, of_nouns) = GRAMMARS[language], weights[language]

        def words(
            g: Grammar = grammar, a: list[float] = of_adjectives, n: list[float] = of_nouns
        ) -> dict[str, str]:
            return {"a": rng.choices(g.adjectives, a)[0], "n": rng.choices(g.nouns, n)[0]}

        text = grammar.sentence.format(**words(), v=rng.choice(grammar.verbs), p=rng.choice(grammar.places))
        if rng.random() < 0.5:
            text = grammar.with_other.format(s=text, **words())
        if rng.random() < 0.33:
            text = grammar.name.format(s=text, n=_made_up_name(rng))
        yield Caption(f"{language}-{i:07d}", text, language, about=f"clip-{i}")


def _weights(words: tuple[str, ...]) -> list[float]:
    return [1 / (rank + 1) for rank in range(len(words))]


def _made_up_name(rng: random.Random) -> str:
    return "".join(rng.choices(_SYLLABLES, k=rng.choice((2, 3, 4)))).capitalize()
