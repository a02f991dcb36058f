"""Steps before the picture, on pages that each have one difficulty: `tests/site/pages/actions`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.site import blocks
from tests.site.pictures import assert_pixels
from tests.site.server import Site, running_site

from .server_process import ServerProcess, running_server

CORNER = (1270, 710)  # bare body on every page, but where a fixed bar or a frame covers it
RIGHT, UNTOUCHED = {CORNER: blocks.GREEN}, {CORNER: blocks.WHITE}
CLICK_IT: dict[str, Any] = {"type": "click", "selector": "#it"}


class Acting:
    """Captures of the pages, with steps."""

    def __init__(self, server: ServerProcess, site: Site) -> None:
        self.server = server
        self.site = site

    def body(self, page: str, *actions: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"url": f"{self.site.url}/actions/{page}", "format": "png", "actions": list(actions), **more}

    def draws(self, page: str, *actions: dict[str, Any], pixels: Any = RIGHT, **more: Any) -> dict[str, Any]:
        """The picture is as it should be and each step went well; return `meta`."""
        image, meta = self.server.picture(**self.body(page, *actions, **more))
        assert [step["ok"] for step in meta["actions"]] == [True] * len(actions), meta["actions"]
        assert_pixels(image, pixels)
        return meta

    def fails(self, page: str, *actions: dict[str, Any], code: str = "action_failed", **more: Any) -> dict[str, Any]:
        """The only detail of the error."""
        error = self.server.error(400, **self.body(page, *actions, **more))
        assert error["code"] == code, error
        return error["details"][0] if error["details"] else error


@pytest.fixture
def acting(server: ServerProcess, site: Site) -> Acting:
    return Acting(server, site)


def step(kind: str, selector: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": kind, **({"selector": selector} if selector else {}), **more}


def test_a_click_is_as_a_users(acting: Acting) -> None:
    meta = acting.draws("trusted.html", CLICK_IT)
    assert meta["actions"] == [
        {
            "index": 0,
            "type": "click",
            "ok": True,
            "elapsed_ms": meta["actions"][0]["elapsed_ms"],
            "error": None,
            "note": None,
            "result": None,
        }
    ]
    assert 0 < meta["actions"][0]["elapsed_ms"] <= meta["timings"]["actions_ms"] + 1


@pytest.mark.parametrize("page", ["covered.html", "moving.html", "disabled.html", "vanishing.html"])
def test_a_click_waits_for_its_element(acting: Acting, page: str) -> None:
    """Until it is uncovered, stands still, is enabled, is there again."""
    acting.draws(page, CLICK_IT)


def test_a_click_takes_the_first_visible_match(acting: Acting) -> None:
    acting.draws("hidden.html", step("click", ".it"))


def test_a_click_finds_room_between_fixed_bars(acting: Acting) -> None:
    acting.draws("below.html", step("click", "button"), pixels={(1270, 360): blocks.GREEN})


@pytest.mark.parametrize(
    ("page", "selector", "reason"),
    [
        ("covered.html?for-ever", "#it", 'it is covered by <div id="overlay">'),
        ("disabled.html?for-ever", "#it", "it is disabled"),
        ("hidden.html?for-ever", ".it", "it is hidden"),
        ("trusted.html", "#nothing", "no element matches"),
        ("moving_for_ever.html", "#it", "it moves"),
    ],
)
def test_a_step_that_fails_says_why(acting: Acting, page: str, selector: str, reason: str) -> None:
    click = step("click", selector, timeout_ms=700)
    detail = acting.fails(page, step("wait", ms=1), click, render={"animations": "allow"})
    assert detail["message"].startswith(reason)
    assert (detail["index"], detail["type"], detail["selector"]) == (1, "click", selector)
    assert detail["field"] == "actions.1"


def test_an_optional_step_that_fails_is_passed(acting: Acting) -> None:
    click = step("click", "#nothing", timeout_ms=300, optional=True)
    image, meta = acting.server.picture(**acting.body("trusted.html", click, CLICK_IT))
    assert_pixels(image, RIGHT)
    assert [(each["ok"], each["error"]) for each in meta["actions"]] == [
        (False, "no element matches (waited 0.3 s)"),
        (True, None),
    ]


def test_what_is_no_selector(acting: Acting) -> None:
    detail = acting.fails("trusted.html", step("click", "a["), code="invalid_request")
    assert detail["field"] == "actions.0.selector"


def test_the_captures_own_timeout_gives_a_partial_picture(acting: Acting) -> None:
    body = acting.body("covered.html?for-ever", step("wait", ms=5), CLICK_IT, render={"timeout_ms": 2500})
    image, meta = acting.server.picture(**body)
    assert meta["partial"] is True
    assert "actions.1, click '#it': it is covered by <div id=\"overlay\">" in meta["partial_reason"]
    assert [each["ok"] for each in meta["actions"]] == [True, False]
    assert image.size == (1280, 720)
    body["render"]["on_timeout"] = "fail"
    assert acting.server.error(500, **body)["code"] == "capture_timeout"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Acting, Site]]:
    """Two sites, and a server that may visit both."""
    with running_site() as site, running_site("127.0.0.2") as other:
        allowed = json.dumps([site.netloc, other.netloc])
        with running_server(tmp_path_factory.mktemp("data"), GUARD__ALLOW=allowed) as server:
            yield Acting(server, site), other


@pytest.mark.parametrize("action", [step("click", "button"), step("type", "input", text="a b")], ids=["click", "type"])
@pytest.mark.parametrize("page", ["frame.html", "nested.html"])
@pytest.mark.parametrize("is_foreign", [False, True], ids=["same-origin", "other-site"])
def test_frames_are_searched(both: tuple[Acting, Site], action: dict[str, Any], page: str, is_foreign: bool) -> None:
    acting, other = both
    site = other if is_foreign else acting.site
    acting.draws(f"framed.html?in={site.url}/actions/{page}", action)


def test_a_frame_further_down_and_one_that_is_covered(both: tuple[Acting, Site]) -> None:
    acting, other = both
    page = f"framed.html?in={other.url}/actions/frame.html"
    acting.draws(f"{page}&far", step("click", "button"))
    detail = acting.fails(f"{page}&covered", step("click", "button", timeout_ms=500))
    assert detail["message"].startswith('it is covered by <div id="over">')


@pytest.mark.parametrize("action", [step("click", "button"), step("type", "input", text="deep")], ids=["click", "type"])
def test_open_shadow_trees_are_searched(acting: Acting, action: dict[str, Any]) -> None:
    acting.draws("shadow.html", action)


def test_text_is_typed_key_by_key_in_place_of_what_was_there(acting: Acting) -> None:
    meta = acting.draws("typed.html", step("type", "#it", text="Hi"))
    keys = "keydownH,beforeinput,input,keyupH,keydowni,beforeinput,input,keyupi"
    assert meta["title"] == f"Hi|focus,{keys}"


FIELDS = [
    step("type", "#text", text="Grüße 日本 😀"),
    step("type", "#date", text="2030-12-31"),
    step("type", "#colour", text="#00ff00"),
    step("type", "#area", text="one\ntwo"),
    step("type", "#label", text="by label"),
    step("type", "#rich", text="new"),
]


def test_every_kind_of_field(acting: Acting) -> None:
    actions = [
        step("click", "#taken"),
        step("type", text="ab"),
        step("type", text="c"),
        *FIELDS,
        step("press", key="Tab"),
    ]
    meta = acting.draws("fields.html", *actions, pixels={})
    *values, changed = json.loads(meta["title"])
    assert values == ["Grüße 日本 😀", "2030-12-31", "#00ff00", "one\ntwo", "by label", "abc", "new"]
    assert changed == "taken,text,date,colour,area,named"


def test_a_long_text_and_an_empty_one(acting: Acting) -> None:
    meta = acting.draws(
        "fields.html", step("type", "#area", text="x" * 9000 + "\ny"), step("type", "#text", text=""), pixels={}
    )
    values = json.loads(meta["title"])
    assert (values[3], values[0]) == ("x" * 9000 + "\ny", "")


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (step("type", "#locked", text="s3cret"), "it is read-only"),
        (step("type", "#picked", text="s3cret"), '<input id="picked"> is no field that takes text'),
        (step("type", "#date", text="s3cret"), "the field does not take this value"),
        (step("type", text="s3cret"), "no field is in focus"),
    ],
    ids=lambda each: each.get("selector", "focus") if isinstance(each, dict) else "",
)
def test_what_takes_no_text(acting: Acting, action: dict[str, Any], reason: str) -> None:
    blur = step("evaluate", script="document.activeElement.blur()")
    error = acting.server.error(400, **acting.body("fields.html", blur, action | {"timeout_ms": 600}))
    assert error["details"][0]["message"].startswith(reason)
    assert "s3cret" not in json.dumps(error)


@pytest.mark.parametrize(
    ("action", "title"),
    [
        (step("select", "#one", value="de"), "de,a,ticked+first,false"),
        (step("select", "#one", value="Germany"), "de,a,ticked+first,false"),
        (step("select", "#one", value="later"), "later,a,ticked+first,false"),
        (step("select", "#many", value=["b", "C"]), "at,b+c,ticked+first,false"),
        (step("check", "#box"), "at,a,box+ticked+first,false"),
        (step("check", "[for=box]"), "at,a,box+ticked+first,false"),
        (step("check", "#ticked"), "at,a,ticked+first,false"),
        (step("check", "#ticked", checked=False), "at,a,first,false"),
        (step("check", "#pretty"), "at,a,ticked+pretty+first,false"),
        (step("check", "#second"), "at,a,ticked+second,false"),
        (step("check", "#switch"), "at,a,ticked+first,true"),
    ],
    ids=str,
)
def test_choices(acting: Acting, action: dict[str, Any], title: str) -> None:
    assert acting.draws("choices.html", action, pixels={})["title"] == title


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (step("select", "#one", value="fr"), "it has no such option"),
        (step("select", "#one", value="xx"), "the option is disabled"),
        (step("select", "#one", value=["at", "de"]), "it takes one value only"),
        (step("select", "#box", value="a"), '<input id="box"> is no list of options'),
        (step("check", "#text"), '<p id="text"> is no check box and no radio button'),
        (step("check", "#first", checked=False), "a radio button loses its tick only to another one"),
        (step("check", "#stubborn"), "a click does not change it"),
    ],
    ids=str,
)
def test_choices_that_can_not_be_made(acting: Acting, action: dict[str, Any], reason: str) -> None:
    assert acting.fails("choices.html", action | {"timeout_ms": 900})["message"].startswith(reason)


def test_keys(acting: Acting) -> None:
    names = ["Control+A", "x", "Enter", "Escape", "ArrowDown", "F5", "shift+Tab", "Control+Shift+K", "+", "ENTER"]
    meta = acting.draws("keys.html", CLICK_IT, *(step("press", key=name) for name in names))
    assert meta["title"].split() == [
        "true/a/KeyA/65/ctrl",
        "true/x/KeyX/88/",
        "true/Enter/Enter/13/",
        "true/Escape/Escape/27/",
        "true/ArrowDown/ArrowDown/40/",
        "true/F5/F5/116/",
        "true/Tab/Tab/9/shift",
        "true/K/KeyK/75/ctrl+shift",
        "true/+/Equal/187/",
        "true/Enter/Enter/13/",
    ]


def test_press_focuses_its_element(acting: Acting) -> None:
    acting.draws("keys.html", step("press", "#it", key="Control+A"), step("press", key="x"))


def test_a_name_that_is_no_key(acting: Acting) -> None:
    detail = acting.fails("keys.html", step("press", key="Entre"), code="invalid_request")
    assert detail["field"] == "actions.0.key"


@pytest.mark.parametrize(
    ("actions", "title"),
    [
        ([step("scroll", by=600)], "600 600"),
        ([step("scroll", by=5000), step("scroll", by=-1000)], "4000 4000"),
        ([step("scroll", to=3000)], "0 3000"),
        ([step("scroll", to="bottom")], "0 19280"),
        ([step("scroll", to="bottom"), step("scroll", to="top")], "0 0"),
    ],
    ids=str,
)
def test_scroll(acting: Acting, actions: Any, title: str) -> None:
    assert acting.draws("wheel.html", *actions, pixels={})["title"] == title


@pytest.mark.parametrize(
    ("action", "title"),
    [
        (step("scroll", to="bottom"), "20 9280"),
        (step("scroll", to=2000), "6 2000"),
        (step("scroll", by=2000), "6 2000"),
        (step("scroll", "#row10"), "5 4890"),
    ],
    ids=str,
)
def test_scroll_in_an_app_shell(acting: Acting, action: dict[str, Any], title: str) -> None:
    """What scrolls inside is scrolled, and what lies on the way is seen."""
    assert acting.draws("shell.html", action, pixels={})["title"] == title


def test_hover_stays(acting: Acting) -> None:
    acting.draws("hover.html", step("hover", "#it"), pixels={(50, 120): blocks.BLUE})


@pytest.mark.parametrize("link", ["#page", "#late"])
def test_the_next_step_is_for_the_page_that_a_click_led_to(acting: Acting, link: str) -> None:
    meta = acting.draws(
        "links.html", step("click", link), step("evaluate", script="document.readyState"), pixels=blocks.VIEWPORT
    )
    assert meta["actions"][1]["result"] == "complete"
    assert meta["final_url"] == f"{acting.site.url}/blocks.html"


def test_pages_whose_own_scripts_are_off(acting: Acting) -> None:
    off = {"javascript": False}
    meta = acting.draws("links.html", step("type", "#q", text="x"), step("click", "#send"), pixels={}, render=off)
    assert meta["title"] == "echo"
    typed = [step("type", "#area", text="new"), step("evaluate", script="document.querySelector('#area').value")]
    assert acting.draws("fields.html", *typed, pixels={}, render=off)["actions"][1]["result"] == "new"
    scrolls = [step("scroll", by=500), step("scroll", to=700), step("scroll", to="bottom")]
    acting.draws("wheel.html", *scrolls, step("hover", "div"), pixels={}, render=off)


def test_a_form_is_sent(acting: Acting) -> None:
    meta = acting.draws("links.html", step("type", "#q", text="x"), step("click", "#send"), pixels={})
    assert meta["title"] == "echo"
    meta = acting.draws("links.html", step("type", "#q", text="x\n"), pixels={})
    assert meta["title"] == "echo"


def test_an_app_that_draws_its_next_page_itself(acting: Acting) -> None:
    meta = acting.draws("links.html", step("click", "#spa"), step("click", "#drawn"))
    assert meta["final_url"] == f"{acting.site.url}/app"


@pytest.mark.parametrize("link", ["#window", "#open"])
def test_a_new_window_is_refused_and_said(acting: Acting, link: str) -> None:
    meta = acting.draws("links.html", step("click", link), pixels=UNTOUCHED if link == "#window" else RIGHT)
    assert meta["actions"][0]["note"] == "A new window was wanted; none is opened."


def test_a_download_leaves_the_page(acting: Acting) -> None:
    meta = acting.draws("links.html", step("click", "#download"), step("click", "#alert"))
    assert meta["actions"][0]["note"].startswith("It led to a download")


@pytest.mark.parametrize("link", ["#blocked", "#blocked_tls", "#blocked_later"])
def test_a_click_to_where_captures_do_not_go(acting: Acting, link: str) -> None:
    acting.fails("links.html", step("click", link, optional=True), step("wait", ms=5), code="blocked_target")


def test_a_page_with_a_status_that_fails(acting: Acting) -> None:
    acting.fails("links.html", step("click", "#gone"), code="target_status", fail_on_status=["4xx"])
    acting.draws("links.html", step("click", "#gone"), pixels={})


def test_a_page_that_never_answers(acting: Acting) -> None:
    body = acting.body("links.html", step("click", "#hang", timeout_ms=500), render={"timeout_ms": 3000})
    _, meta = acting.server.picture(**body)
    assert meta["partial_reason"].endswith("the page that actions.0 led to.")


def test_dialogs_do_not_hold_a_click_up(acting: Acting) -> None:
    acting.draws("links.html", step("click", "#alert"))


def test_wait_for(acting: Acting) -> None:
    acting.draws("covered.html", step("wait_for", "#overlay", state="detached"), CLICK_IT)
    acting.draws("hidden.html", step("wait_for", "#it"), step("click", "#it"))
    acting.draws("shadow.html", step("wait", selector="x-inner"), step("wait_for", "b"), pixels={})
    detail = acting.fails("covered.html?for-ever", step("wait_for", "#overlay", state="hidden", timeout_ms=300))
    assert detail["message"] == "it is not hidden (waited 0.3 s)"


DATA = {"colour": "#ff0000", "image": "/colour/0000ff?w=200&h=100"}


@pytest.mark.parametrize(
    ("script", "result"),
    [
        ("1 + 1", 2),
        ("({a: [1, 'x', null]})", {"a": [1, "x", None]}),
        ("const a = 5; a * 2;", 10),
        (
            "fetch('/data.json').then((answer) => answer.json())",
            {"colour": "#ff0000", "image": "/colour/0000ff?w=200&h=100"},
        ),
        ("const answer = await fetch('/data.json'); return answer.status", 200),
        ("right()", "#00ff00"),
        ("'x'.repeat(8190)", "x" * 8190),
        ("undefined", None),
    ],
    ids=lambda each: str(each)[:30],
)
def test_evaluate(acting: Acting, script: str, result: Any) -> None:
    meta = acting.draws("trusted.html", step("evaluate", script=script), pixels={})
    seen = meta["actions"][0]
    assert seen["result"] == result
    assert seen["note"] is None


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("nothing.there", "the script failed: ReferenceError: nothing is not defined"),
        ("}{", "the script failed: SyntaxError"),
        ("throw 'x'.repeat(1e8)", "the script failed: xxx"),
        ("Promise.reject(new Error('no'))", "the script failed: Error: no"),
        ("for (;;);", "the script did not end (waited 0.7 s)"),
        ("new Promise(() => {})", "the script did not end (waited 0.7 s)"),
        ("(async () => { await 0; for (;;); })()", "the script did not end (waited 0.7 s)"),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_optional", [False, True], ids=["fails", "optional"])
def test_scripts_that_fail(acting: Acting, script: str, reason: str, is_optional: bool) -> None:
    evaluate = step("evaluate", script=script, timeout_ms=700, optional=is_optional)
    if not is_optional:
        detail = acting.fails("trusted.html", evaluate)
        assert detail["message"].startswith(reason)
        assert len(detail["message"]) < 600
        return
    image, meta = acting.server.picture(**acting.body("trusted.html", evaluate, CLICK_IT))
    assert meta["actions"][0]["error"].startswith(reason)
    assert meta["actions"][1]["ok"] is True
    assert_pixels(image, RIGHT)


@pytest.mark.parametrize("script", ["'x'.repeat(1e8)", "let a = 'x'.repeat(1e8); a;", "Array(1e6).fill('0123456789')"])
def test_a_result_too_large_stays_in_the_page(acting: Acting, script: str) -> None:
    meta = acting.draws("trusted.html", step("evaluate", script=script), CLICK_IT)
    assert meta["actions"][0]["result"] is None
    assert "is left out" in meta["actions"][0]["note"]


def test_actions_in_the_flat_form(acting: Acting) -> None:
    server = acting.server
    query = {"url": f"{acting.site.url}/actions/trusted.html", "actions": json.dumps([CLICK_IT]), "format": "png"}
    answer = server.client.get("/v1/screenshot", params=query, headers={"X-API-Key": server.key})
    assert answer.status_code == 200, answer.text
    [outcome] = json.loads(answer.headers["X-Calotype-Actions"])
    assert outcome["ok"] is True


def test_on_a_phone_that_shows_the_page_smaller(acting: Acting) -> None:
    html = (
        "<meta name=viewport content='width=2000'><body style='margin:0'>"
        "<button style='position:absolute;left:1500px;top:900px;width:60px;height:40px'"
        " onclick='document.body.style.background = `#00ff00`'>Press</button>"
    )
    viewport = {"width": 400, "height": 800, "mobile": True}
    body = {"html": html, "format": "png", "viewport": viewport, "actions": [step("click", "button")]}
    image, _ = acting.server.picture(**body)
    assert_pixels(image, {(10, 10): blocks.GREEN})


def test_a_caret_does_not_blink_in_the_picture(acting: Acting) -> None:
    style = "font-size:300px;border:0;outline:0;width:500px;height:500px"
    html = f"<body style='margin:0'><textarea style='{style}'></textarea>"
    body = {"html": html, "format": "png", "actions": [step("click", "textarea")]}
    image, _ = acting.server.picture(**body)
    assert image.convert("RGB").crop((0, 0, 400, 400)).getcolors() == [(160_000, blocks.WHITE)]
