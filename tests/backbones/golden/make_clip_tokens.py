"""Writes the golden files of the tokenizer's test, with open_clip.

    pip install open_clip_torch
    python tests/backbones/golden/make_clip_tokens.py

Written beside this script: `clip_tokens.json`, the strings below with open_clip's ids (77 at most,
the zero padding left out), and `vocab.json` with `merges.txt`: CLIP's vocabulary cut down to the
byte symbols, the two special tokens and the merges that these strings reach, ids and order kept.
The merges that build a string's final tokens are all that were ever applied to it, so the rest of
the list does not matter to it; the script asserts it.
"""

from __future__ import annotations

import json
import pathlib

import open_clip

FOLDER = pathlib.Path(__file__).parent

WORDS = """
airplane automobile bird cat deer dog frog horse ship truck aquarium_fish lawn_mower maple_tree
sweet_pepper pickup_truck AnnualCrop HerbaceousVegetation SeaLake tench goldfish axolotl
Staffordshire-Bullterrier jack-o'-lantern Petri-dish Appenzeller Entlebucher schipperke
Abyssinian Ragdoll beignets crème-brûlée macarons pho Bœuf ApplyEyeMakeup HandstandPushups
Hyundai_Veracruz_SUV_2012 707-320 F/A-18 DHC-8-100 chequered crosshatched
"""
NAMES = WORDS.split()

TEMPLATES = """
This is a photo of a {}
a photo of a {}.
a satellite photo of {}.
a centered satellite photo of the {}, a type of land.
itap of my {}.
a bad photo of the {}!
a photo of a {}, a type of aircraft.
art of the {} (in a video game)
a {} texture.
a photo of a {}, a type of flower.
""".strip().split("\n")

PLAIN = [
    "",
    " ",
    "   \t\n\r  ",
    "\u00a0\u2003\u3000",
    "\x1c\x1d\x1e\x1f",
    "a",
    "  a photo of a dog",
    "a photo of a dog   ",
    "a   photo\tof\na\r\ndog",
    "a\u00a0photo\u2003of\u3000a\u2028dog\u2029.\u0085x",
    "zero\u200bwidth\u200c \u200dspaces\u2060and\ufeffmarks",
    "\ufeffbyte order mark",
    "soft\u00adhyphen",
    "A PHOTO OF A DOG",
    "UPPER lower MiXeD",
    "supercalifragilisticexpialidocious",
    "the quick brown fox jumps over the lazy dog",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "0",
    "1234567890",
    "3.14159 and 2,718",
    "1,000,000 images at 224x224",
    "in the 1980s, the 90's and '20s",
    "50% of $100 is €50, £40 or ¥7000",
    "1st 2nd 3rd 4th",
    "v1.2.3-rc4+build.5",
    "2^10 = 1024; 1e-5 != 1E5",
    "½ ¼ ¾ ² ³ ¹ ⅓ Ⅷ ⅷ ① ⑳ ❿ 〇 一 ㈠",
    "٠١٢٣ ०१२३ ๐๑๒ 𝟎𝟏𝟐 0123",
    "10½",
]

PUNCTUATION = [
    "it's",
    "IT'S",
    "don't won't can't",
    "they're we've I'm you'll he'd she's",
    "THEY'RE WE'VE I'M YOU'LL HE'D",
    "rock'n'roll 'tis 'twas o'clock",
    "dogs' tails",
    "'s",
    "''s'' 't't 'll'll 'd'd",
    "'sun 'total 'reed 'vet 'mad 'llama 'dog",
    "it’s ‘quoted’ “text” „low“ «angle»",
    "it\u02bcs it\u2032s it`s it\u00b4s",
    "'\u017f long s and \u017fun",
    "!'s?'t",
    "'",
    "'''",
    '"',
    "snake_case_name __init__ _ __ a_b_1_c",
    "kebab-case - -- --- – — ― \u2212",
    "...!!!???",
    "!",
    "!!",
    "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!",
    "?!.,:;",
    "(a) [b] {c} <d> |e| /f/ \\g\\",
    "a@b.com #tag @user",
    "https://example.com/path?q=1&r=2#frag",
    "C++ C# F# .NET node.js",
    "~`^*+=",
    "a.b.c.d",
    "a,b;c:d",
    "…⋯‥ • · ‣ ◦",
    "§ ¶ © ® ™ ° µ º ª",
    "→ ← ↑ ↓ ⇒ ∀ ∃ ∈ ∑ √ ∞ ≈ ≠ ≤ ≥",
    "<|startoftext|>",
    "<|endoftext|>",
    "a <|endoftext|> b",
    "<|ENDOFTEXT|>dog<|startoftext|>",
    "<start_of_text>",
    "<end_of_text>",
    "a dog<end_of_text>and<start_of_text>a cat",
    "<END_OF_TEXT> <Start_Of_Text>",
    "!<end_of_text>",
    "!<start_of_text> 5<end_of_text>",
    "<\u017ftart_of_text>",
    "<end_of_text",
    "<end_of_text>>",
    "</w>",
    "dog</w> </w></w>",
    "[CLS] [SEP] [PAD] <unk> <s> </s> ##ing Ġdog ▁dog",
]

ENTITIES = [
    "cats &amp; dogs",
    "cats &amp;amp; dogs",
    "cats &amp;amp;amp; dogs",
    "&lt;b&gt;bold&lt;/b&gt;",
    "<b>bold</b> &amp; &lt;i&gt;",
    "&amp;lt;b&amp;gt;",
    "<i>a &eacute; b</i> &amp;eacute;",
    "&quot;quoted&quot; &apos;s &#39;s &#x27;S",
    "it&#39;s it&amp;#39;s",
    "caf&eacute; CAF&EACUTE; caf&Eacute;",
    "&nbsp;a&nbsp;b&nbsp;",
    "&amp;nbsp;a&amp;nbsp;b&amp;nbsp;",
    "&copy &copy; &notit; &notin; &not",
    "&hearts; &euro; &#8364; &#x20AC;",
    "&#0; &#1; &#128; &#x9f; &#xD800; &#x110000; &#99999999;",
    "&#x1F600; &#128512; &amp;#128512;",
    "e&#x301; e&amp;#x301; <e&#x301;>",
    "&#x345; a&amp;#x345;b <&#x345;!&#x345;> <a&#x345;5>",
    "<&#xFB05;art_of_text> <&#xFB01;>",
    "&#8203;&#xFEFF;&#173;",
    "&#10;&#13;&#9;a<&#10;&#12;b>",
    "<&#x41;&#x130;&#x1E9E;>",
    "&; &# &#; &#x; & &unknown; &am p;",
    "AT&T R&D Q&A&B",
    "&amp;lt;end_of_text&amp;gt;",
]

MOJIBAKE = [
    "schÃ¶n",
    "cafÃ©",
    "CAFÃ‰",
    "donâ€™t",
    "â€œquotedâ€\x9d",
    "â€¦ â€” â€“",
    "âœ” No problems",
    "Ã¢â€šÂ¬ Ã‚Â£",
    "l’humanitÃ©",
    "uÌˆnicode",
    "ðŸ˜€ ðŸ‘\u008d",
    "Ð¼Ð¾ÑÐºÐ²Ð°",
    "Ð\u009fÑ\u0080Ð¸Ð²ÐµÑ\u0082",
    "ã\u0081\u0093ã\u0082\u0093",
    "ä½\u00a0å¥½",
    "Â© Â® Â°",
    "voilÃ le travail",
    "ÃƒÂ©",
    "\u00c3 \u00e9",
    "Ã",
    "Â",
    "IL Y MARQUÉ…",
    "\ufffd \ufffdt\ufffd",
    "schÃ&sup3;n",
]

CONTROL = [
    "\x00",
    "a\x00b",
    "a\x01\x02b\x03 \x07c",
    "a\x08b\x0bc\x0cd\x0ee",
    "a\x1bb",
    "\x1b[31mred\x1b[0m text",
    "a\x7fb",
    "a\x80b\x85c\x9fd",
    "\u202ereversed\u202c \u2066isolate\u2069 \u200e\u200f",
    "\ufff9annotated\ufffa\ufffb",
    "\ud83d\ude00 surrogate pair",
    "lone \ud800 surrogate \udfff",
    "\ue000 \uf8ff private \U000f0000",
    "\ufffe \uffff \U0010ffff",
    "\u206a\u206f",
    "tag \U000e0041\U000e007f",
    "line one\nline two\n\nline four",
    "a\u180eb\u2061c",
    "\u115f\u1160\u3164\uffa0 fillers",
]

ACCENTS = [
    "é",
    "e\u0301",
    "E\u0301 É",
    "n\u0303 ñ N\u0303 Ñ",
    "A\u030a Å Å",
    "naïve façade résumé coöperate",
    "Ångström Øresund Þór Ðað ŁÓDŹ",
    "ẞ ß SS ſ ﬁ ﬂ ﬀ ﬃ ﬅ ﬆ",
    "İstanbul ISPARTA ıspanak i\u0307",
    "K Ω Å",
    "Ĳssel Ǆ ǅ ǆ ŉ",
    "Ｆｕｌｌ ｗｉｄｔｈ　１２３！",
    "ｶﾞ ﾊﾟ ﾊ",
    "Z\u0351\u036b\u0343a\u0323\u0308l\u0334g\u0489o",
    "q\u0307\u0323 q\u0323\u0307",
    "\u0301",
    " \u0301a",
    "a \u0345 \u0345b !\u0345! ᾳ ᾼ ᾼ",
    "ΟΔΥΣΣΕΥΣ ΣΑΣ Σ ς",
    "ΑΣ. ΑΣΑ Α'Σ",
    "ệ e\u0323\u0302 e\u0302\u0323",
    "각 \u1100\u1161\u11a8",
    "क\u093c क़ \u0958",
    "ⓐ Ⓐ ⅰ Ⅰ ℵ ℓ ™ № ℃",
    "𝐀𝒜𝔄𝕬 𝓱𝓮𝓵𝓵𝓸",
    "ᴀʙᴄ ʰʷ ₐ ⁿ ˈ ˌ ː",
    "𐐀𐐨 Ꭰꭰ Ꭓ ᲀ",
]

SCRIPTS = [
    "Привет, мир! СОБАКА и кошка",
    "Україна їжак ґанок",
    "Ελληνικά: ένας σκύλος",
    "שלום עולם כלב",
    "שָׁלוֹם",
    "مرحبا بالعالم كلب",
    "مَرْحَبًا ـــ",
    "سلام دنیا می‌خواهم",
    "नमस्ते दुनिया कुत्ता",
    "বাংলা কুকুর",
    "ਪੰਜਾਬੀ ਕੁੱਤਾ",
    "ગુજરાતી કૂતરો",
    "தமிழ் நாய்",
    "తెలుగు కుక్క",
    "ಕನ್ನಡ ನಾಯಿ",
    "മലയാളം നായ",
    "සිංහල බල්ලා",
    "ภาษาไทย สุนัข",
    "ລາວ ໝາ",
    "မြန်မာ ခွေး",
    "ខ្មែរ ឆ្កែ",
    "བོད་ཡིག ཁྱི།",
    "ქართული ძაღლი ᲫᲐᲦᲚᲘ",
    "Հայերեն շուն և",
    "አማርኛ ውሻ",
    "ᏣᎳᎩ ᎩᎵ",
    "ᐃᓄᒃᑎᑐᑦ ᕿᒻᒥᖅ",
    "ᠮᠣᠩᠭᠣᠯ",
    "ⴰⵢⴷⵉ ⵜⴰⵎⴰⵣⵉⵖⵜ",
    "한국어 개 사진",
    "ㄱㄴㄷ ㅏㅑ",
    "日本語の犬の写真。",
    "カタカナ ひらがな ー 々 〆 「犬」、『猫』",
    "中文：一张狗的照片。",
    "繁體中文，狗的照片！",
    "ㄅㄆㄇ",
    "𠀀𠮷 㐀 﨑",
    "Tiếng Việt: con chó đẹp",
    "Türkçe: köpek, ağaç, şiş, ÇİĞ IŞIK",
    "Polski: źdźbło, ŻÓŁĆ",
    "Čeština: příliš žluťoučký kůň",
    "Magyar: árvíztűrő tükörfúrógép",
    "Íslenska: þetta er hundur æði",
    "Español: ¿un perro? ¡sí! año",
    "Français: l'été, ça, cœur, Noël, où",
    "Deutsch: Straße, Größe, ÜBER, Käse",
    "Português: cão, não, coração",
    "Ελλη日本кириллицаעברית123abc",
    "ꙮ Ѩ ҂ҋ",
    "𓀀𓂀 𒀀 𐎀 𐌰𐌱",
    "𞤀𞤣𞤤𞤢𞤥 ߒߞߏ",
    "ꯃꯤꯇꯩ ᬩᬮᬶ ꦗꦮ",
]

EMOJI = [
    "😀",
    "a photo of a 🐶",
    "🐶🐱🐭",
    "👍🏽 👩🏿",
    "👨‍👩‍👧‍👦",
    "👩‍💻 🏳️‍🌈 🏴‍☠️",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "🇫🇷🇩🇪🇯🇵 🇦",
    "1️⃣ #️⃣ *️⃣ 🔟",
    "❤️ ❤ ☺ ☺️ ☎︎ ✈️",
    "♥♦♣♠ ★☆ ♪♫ ✓✔✗",
    "😀dog😀cat😀",
    "😀!😀?😀'😀's",
    "🤷‍♂️ ¯\\_(ツ)_/¯ ( ͡° ͜ʖ ͡°) ʕ•ᴥ•ʔ",
    "🀄🂡🎲 🫠🫨",
    ":) :-( ;P <3 xD ^_^",
    "👁️‍🗨️",
    "☕ cof☕fee",
]

LONG = [
    "dog " * 74,
    "dog " * 75,
    "dog " * 76,
    "dog " * 100,
    "a very long caption about " * 40,
    "x" * 300,
    "!" * 700,
    "1" * 75,
    "9" * 76,
    "é" * 200,
    "日本語" * 60,
    "😀" * 90,
    "ab" * 200,
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "hahahahahahahahahahahahahahaha",
    "an image of " + ", ".join(NAMES),
]

STRINGS = [
    *PLAIN,
    *PUNCTUATION,
    *ENTITIES,
    *MOJIBAKE,
    *CONTROL,
    *ACCENTS,
    *SCRIPTS,
    *EMOJI,
    *LONG,
    *NAMES,
    *(template.format(NAMES[i]) for i, template in enumerate(TEMPLATES)),
    *(template.format(NAMES[-1 - i].replace("_", " ")) for i, template in enumerate(TEMPLATES)),
]


def main() -> None:
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    rows = tokenizer(STRINGS).tolist()
    # Every row's last id above 0 is the end of text, but a text may hold that id before.
    ids = [row[: max(i for i, n in enumerate(row) if n) + 1] for row in rows]

    built_by = {"".join(pair): pair for pair in tokenizer.bpe_ranks}
    assert len(built_by) == len(tokenizer.bpe_ranks), "two merges build the same token"
    reached, todo = (
        set(),
        {tokenizer.decoder[n] for text in STRINGS for n in tokenizer.encode(text)},
    )
    while todo:
        pair = built_by.get(todo.pop())
        if pair is not None and pair not in reached:
            reached.add(pair)
            todo.update(pair)
    merges = sorted(reached, key=tokenizer.bpe_ranks.get)

    symbols = list(tokenizer.byte_encoder.values())
    kept = [*symbols, *(s + "</w>" for s in symbols), *map("".join, merges)]
    vocab = {token: tokenizer.encoder[token] for token in kept}
    vocab["<|startoftext|>"] = tokenizer.sot_token_id
    vocab["<|endoftext|>"] = tokenizer.eot_token_id

    tokenizer.bpe_ranks = {pair: tokenizer.bpe_ranks[pair] for pair in merges}
    tokenizer.cache = {token: token for token in ("<start_of_text>", "<end_of_text>")}
    assert tokenizer(STRINGS).tolist() == rows, "the reduced merges give other ids"

    lines = ",\n".join(json.dumps([text, row]) for text, row in zip(STRINGS, ids, strict=True))
    (FOLDER / "clip_tokens.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    (FOLDER / "vocab.json").write_text(json.dumps(vocab) + "\n", encoding="utf-8")
    text = "\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n"
    (FOLDER / "merges.txt").write_text(text, encoding="utf-8")
    print(f"{len(STRINGS)} strings, {len(merges)} of {len(built_by)} merges")


if __name__ == "__main__":
    main()
