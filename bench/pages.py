"""The markup of the corpus: one function per page, each giving its files by name. Deterministic; see `corpus.py`."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES = 60
_MARKS = ((220, 20, 60), (20, 140, 220), (240, 180, 0), (0, 160, 90), (150, 60, 200), (0, 120, 120), (230, 90, 20))
_WORDS = [
    "light",
    "silver",
    "paper",
    "lens",
    "plate",
    "shutter",
    "print",
    "contrast",
    "frame",
    "grain",
    "focus",
    "shadow",
    "window",
    "page",
    "layout",
    "margin",
    "column",
    "river",
    "letter",
    "signal",
    "engine",
    "browser",
    "network",
    "packet",
    "address",
    "garden",
    "morning",
    "harbour",
    "winter",
    "measure",
    "copper",
    "glass",
]
_TABLE_ROWS = 1500
_LONG_SECTIONS = 60  # of 200 px: 12,000 px


def mark_colour(number: int) -> tuple[int, int, int]:
    """Give the colour of the plain corner of image or section `number`."""
    return _MARKS[number % len(_MARKS)]


def image_path(number: int) -> str:
    suffix = ("jpg", "jpg", "webp", "png")[number % 4]
    return f"/media/{number}.{suffix}"


def _rgb(number: int) -> str:
    return f"rgb{mark_colour(number)}"


def _prose(dice: random.Random, words: int) -> str:
    text = " ".join(dice.choice(_WORDS) for _ in range(words))
    return text.capitalize() + "."


def _document(title: str, head: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>*{{box-sizing:border-box}}body{{margin:0}}</style>'
        f"{head}</head><body>{body}</body></html>"
    )


def _tiny() -> dict[str, str]:
    bar = '<div style="height:40px;background:rgb(200,30,90)"></div>'
    return {"index.html": _document("Tiny", "", bar + "<h1>Hello</h1><p>A small page with nothing to wait for.</p>")}


def _article() -> dict[str, str]:
    dice = random.Random(1)
    css = """
@font-face{font-family:Body;src:url(/media/serif.ttf)}
@font-face{font-family:Body;font-weight:700;src:url(/media/serif-bold.ttf)}
@font-face{font-family:Code;src:url(/media/mono.ttf)}
body{font:18px/1.6 Body,serif;color:#222}
.ruler{font:40px/1 Code,serif;width:18ch;height:40px;background:rgb(20,120,70)}
.hero{display:block;margin-top:20px;width:1280px;height:360px}
main{width:760px;margin:0 auto}figure{margin:0;float:right;width:300px}figure img{width:300px;height:200px}
code{font-family:Code;background:#eee}h1,h2{font-weight:700}"""
    parts = []
    for number in range(24):
        figure = f'<figure><img src="{image_path(number)}" alt=""></figure>' if number % 4 == 0 else ""
        heading = f"<h2>{_prose(dice, 4)}</h2>" if number % 5 == 0 else ""
        parts.append(
            f"{heading}{figure}<p>{_prose(dice, 90)} <code>{dice.choice(_WORDS)}()</code> <b>{_prose(dice, 6)}</b></p>"
        )
    # The ruler is 432 px wide in the web font (0.6 em per character), 360 px in the serif it falls back to.
    body = f'<div class="ruler"></div><img class="hero" src="/media/hero.jpg" alt=""><main><h1>{_prose(dice, 5)}</h1>'
    head = '<link rel="stylesheet" href="style.css">'
    return {"index.html": _document("Article", head, body + "".join(parts) + "</main>"), "style.css": css}


_GRID = """<style>body{font:16px sans-serif}header{height:80px;padding:20px;background:#234;color:#fff}
.grid{display:grid;grid-template-columns:repeat(4,300px);gap:10px 8px;padding:0 20px}
.card{height:205px}.card img{display:block;width:300px;height:180px;background:#ddd}</style>"""


def _spa() -> dict[str, str]:
    dice = random.Random(2)
    items = [{"title": _prose(dice, 3), "image": image_path(number)} for number in range(24)]
    script = """
async function main() {
  const root = document.getElementById('root');
  root.innerHTML = '<header>Loading</header>';
  const items = await (await fetch('data.json')).json();
  const grid = document.createElement('div');
  grid.className = 'grid';
  for (const item of items) {
    const card = document.createElement('div');
    card.className = 'card';
    card.innerHTML = '<div class="slot"></div>';
    card.append(item.title);
    grid.append(card);
  }
  root.firstChild.textContent = items.length + ' items';
  root.append(grid);
  await new Promise(requestAnimationFrame);
  const details = await (await fetch('details.json')).json();
  grid.querySelectorAll('.slot').forEach((slot, number) => {
    const image = new Image();
    image.src = details[number];
    slot.replaceWith(image);
  });
}
main();"""
    return {
        "index.html": _document("App", _GRID, '<div id="root"></div><script src="app.js"></script>'),
        "app.js": script,
        "data.json": json.dumps(items),
        "details.json": json.dumps([item["image"] for item in items]),
    }


def _lazy() -> dict[str, str]:
    cards = "".join(
        f'<div class="card"><img loading="lazy" width="300" height="180" alt="" src="{image_path(number)}"></div>'
        for number in range(IMAGES)
    )
    return {"index.html": _document("Lazy", _GRID, f'<header>Lazy</header><div class="grid">{cards}</div>')}


def _long() -> dict[str, str]:
    dice = random.Random(3)
    head = "<style>section{height:200px;overflow:hidden;font:16px/1.5 sans-serif;padding:10px 10px 10px 120px}</style>"
    sections = "".join(
        f'<section style="background:linear-gradient(90deg,{_rgb(number)} 0 100px,#fff 100px,#e8e8f4)">'
        f"<h2>{number}</h2>{_prose(dice, 60)}</section>"
        for number in range(_LONG_SECTIONS)
    )
    return {"index.html": _document("Long", head, sections)}


def _cards() -> dict[str, str]:
    dice = random.Random(4)
    head = """<style>body{background:#eef;font:16px sans-serif}
header{position:sticky;top:0;height:60px;background:rgb(30,40,110);z-index:9}
.card{position:sticky;top:80px;width:900px;height:260px;margin:20px auto;padding:24px;border-radius:16px;
background:linear-gradient(120deg,#fff,#dde6ff);box-shadow:0 12px 40px rgba(0,0,0,.25)}
.dot{width:48px;height:48px;border-radius:50%;background:#e36;animation:move 2s ease-in-out infinite alternate}
.bar{height:12px;margin-top:12px;background:#36e;transform-origin:left;animation:grow 3s linear infinite}
@keyframes move{to{transform:translateX(700px) rotate(180deg)}}@keyframes grow{from{transform:scaleX(0)}}</style>"""
    cards = "".join(
        f'<div class="card"><div class="dot"></div><h2>{_prose(dice, 4)}</h2><p>{_prose(dice, 40)}</p>'
        '<div class="bar"></div></div>'
        for _ in range(16)
    )
    return {"index.html": _document("Cards", head, f"<header></header>{cards}")}


def _dash() -> dict[str, str]:
    dice = random.Random(5)
    series = [[round(50 + dice.gauss(0, 15), 1) for _ in range(600)] for _ in range(6)]
    head = """<style>body{background:#f4f6f8}.box{position:absolute;width:600px;height:310px;background:#fff}</style>"""
    script = """
const colours = ['rgb(0,110,180)', 'rgb(180,70,0)', '#393', '#939'];
function canvas(x, y, number) {
  const box = document.createElement('canvas');
  box.className = 'box'; box.width = 600; box.height = 310; box.style = `left:${x}px;top:${y}px`;
  document.body.append(box);
  const pen = box.getContext('2d');
  pen.fillStyle = colours[number]; pen.fillRect(0, 0, 600, 40);
  data[number].forEach((value, at) => pen.fillRect(at, 300 - value * 2, 1, value * 2));
  pen.strokeStyle = '#222'; pen.beginPath();
  data[number + 2].forEach((value, at) => pen.lineTo(at, 300 - value * 2)); pen.stroke();
}
function svg(x, y, number) {
  const points = data[number + 2].map((value, at) => at + ',' + (300 - value * 2)).join(' ');
  const dots = data[number].slice(0, 150).map(
    (value, at) => `<circle cx="${at * 4}" cy="${300 - value * 2}" r="3" fill="#0008"/>`);
  document.body.insertAdjacentHTML('beforeend', `<svg class="box" style="left:${x}px;top:${y}px" viewBox="0 0 600 310">
    <rect width="600" height="40" fill="${colours[number]}"/>${dots.join('')}
    <polyline points="${points}" fill="none" stroke="#933"/></svg>`);
}
canvas(20, 50, 0); svg(660, 50, 0); canvas(20, 380, 1); svg(660, 380, 1);"""
    data = f"const data = {json.dumps(series)};"
    return {"index.html": _document("Dashboard", head, f"<script>{data}{script}</script>")}


def _table() -> dict[str, str]:
    dice = random.Random(6)
    head = """<style>body{font:14px sans-serif}header{height:50px;background:rgb(90,60,20)}
table{border-collapse:collapse;width:100%}
td{border:1px solid #ccc;padding:4px 8px}tr:nth-child(even){background:#f3f0ea}td:last-child{color:#a30}</style>"""
    rows = "".join(
        f"<tr><td>{number}</td>"
        + "".join(f"<td>{dice.choice(_WORDS)} {dice.randrange(10_000)}</td>" for _ in range(6))
        + f"<td>{dice.random():.4f}</td></tr>"
        for number in range(_TABLE_ROWS)
    )
    return {"index.html": _document("Table", head, f"<header></header><table><tbody>{rows}</tbody></table>")}


MAKERS: dict[str, Callable[[], dict[str, str]]] = {
    "tiny": _tiny,
    "article": _article,
    "spa": _spa,
    "long": _long,
    "lazy": _lazy,
    "cards": _cards,
    "dash": _dash,
    "table": _table,
}
