"""How the page hears of the server: what it says of that, and what it does without WebSockets."""

from __future__ import annotations

from playwright.sync_api import WebSocketRoute, expect

from tests.browser.conftest import GIVEN_UP, KILLED, NewVisit, Visit
from tests.support.held_handshakes import held_handshakes
from tests.support.server import ServerProcess

NOTE_TOASTS = """
window.toasts = [];
new MutationObserver(() => {
  const said = document.querySelector(".toast")?.textContent;
  if (said && said !== toasts.at(-1)) toasts.push(said);
}).observe(document, {childList: true, characterData: true, subtree: true});
"""
"""What the page says in its corner, also when that is gone before anybody looks."""


def test_two_browsers_stay_in_step(server: ServerProcess, new_visit: NewVisit) -> None:
    here = new_visit(1280).open(f"{server.url}/new?kind=sleep")
    there = new_visit(1280).open(server.url)
    here.get_by_role("button", name="Create task").click()
    expect(here.locator("#task-status")).to_have_text("Running")
    row = there.get_by_role("row", name=here.url[-8:])
    expect(row).to_contain_text("Running")

    row.get_by_role("link").click()
    there.get_by_role("button", name="Cancel task").click()
    expect(here.locator("#task-status")).to_have_text("Cancelled")


def test_without_websockets_the_way_in_use_is_named_and_nothing_is_missed(
    server: ServerProcess, visit: Visit
) -> None:
    visit.page.route_web_socket("**", lambda socket: socket.close())
    visit.page.goto(server.url)
    expect(visit.page.locator("#connection-text")).to_have_text("Live by event stream")
    body = {"kind": "iterate", "params": {"iterations": 5}, "title": "seen by a stream"}
    server.call("POST", "/api/tasks", body)
    expect(visit.page.get_by_role("row", name="seen by a stream")).to_contain_text("Completed")


def test_a_websocket_that_opens_late_is_used_at_once(server: ServerProcess, visit: Visit) -> None:
    with held_handshakes(server.port) as proxy:
        visit.page.goto(proxy.url)
        connection = visit.page.locator("#connection-text")
        expect(connection).to_have_text("Live by event stream")
        proxy.released.set()
        expect(connection).to_have_text("Live", timeout=10_000)
        assert not any(GIVEN_UP in complaint for complaint in visit.complaints)
        # Before the proxy ends, so that nothing is asked in vain.
        visit.page.close()


def test_a_list_whose_server_is_gone_says_so_and_goes_on_when_it_is_back(
    own_server: ServerProcess, visit: Visit
) -> None:
    visit.expected_complaints = KILLED
    own_server.create("iterate")
    page = visit.open(own_server.url)
    expect(page.locator(".rows .row")).to_have_count(1)
    own_server.kill()
    expect(page.locator("#connection-text")).to_contain_text("Recovering since")
    expect(page.get_by_role("status").get_by_text("The connection was lost")).to_be_visible()
    expect(page.locator(".page")).to_have_attribute("data-stale", "true")
    # After 10 s the page says more.
    expect(page.get_by_role("alert")).to_contain_text("what you see is as of")
    expect(page.locator("#connection-text")).to_contain_text("Out of date since")
    page.get_by_role("button", name="Try now").click()

    own_server.start()
    own_server.create("iterate")
    expect(page.locator("#connection-text")).to_have_text("Live")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator(".rows .row")).to_have_count(2)


def test_what_came_and_went_before_the_list_was_first_told_of_anything_is_in_it(
    own_server: ServerProcess, visit: Visit
) -> None:
    held: list[tuple[WebSocketRoute, str | bytes]] = []
    over = False

    def relay(socket: WebSocketRoute) -> None:
        to_server = socket.connect_to_server()

        def pass_on(said: str | bytes) -> None:
            if "subscribe" in str(said) and not over:
                held.append((to_server, said))
            else:
                to_server.send(said)

        socket.on_message(pass_on)

    visit.page.route_web_socket("**", relay)
    own_server.wait_over(own_server.create("iterate"))
    page = visit.open(own_server.url)
    expect(page.locator(".rows .row")).to_have_count(1)
    expect(page.locator("#connection-text")).to_have_text("Live")
    own_server.wait_over(own_server.create("iterate"))
    over = True
    for to_server, said in held:
        to_server.send(said)
    expect(page.locator(".rows .row")).to_have_count(2)


def test_the_first_connection_is_said_and_does_not_stay(
    server: ServerProcess, visit: Visit
) -> None:
    visit.page.add_init_script(NOTE_TOASTS)
    page = visit.open(server.url)
    page.wait_for_function("toasts.length === 1")
    assert page.evaluate("toasts") == ["Connected."]
    expect(page.locator(".toast")).to_be_hidden()


def test_a_connection_that_is_given_up_is_said_until_somebody_tries_again(
    server: ServerProcess, visit: Visit
) -> None:
    sockets: list[WebSocketRoute] = []

    def relay(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    visit.page.route_web_socket("**", relay)
    visit.page.add_init_script(NOTE_TOASTS)
    page = visit.open(server.url)
    sockets[-1].send('42/tasks,["error",{"code":"rate_limited","message":"That was too much"}]')
    # The server says not to come back.
    sockets[-1].send("41/tasks,")

    toast = page.locator(".toast")
    expect(toast).to_contain_text("That was too much")
    expect(page.locator("#connection-text")).to_contain_text("Offline")
    expect(page.locator(".page")).to_have_attribute("data-stale", "true")
    page.get_by_role("link", name="Queue").click()
    expect(toast).to_be_visible()
    toast.get_by_role("button", name="Try again").click()
    expect(page.locator("#connection-text")).to_have_text("Live")
    page.wait_for_function("toasts.at(-1) === 'Connected.'")
    assert len(sockets) == 2


def test_what_could_not_be_read_meanwhile_is_read_when_the_connection_is_back(
    own_server: ServerProcess, visit: Visit
) -> None:
    visit.expected_complaints = KILLED
    page = visit.open(f"{own_server.url}/history")
    expect(page.get_by_text("No task has ended")).to_be_visible()
    own_server.kill()
    expect(page.locator("#connection-text")).to_contain_text("Recovering since")
    page.get_by_label("Days shown").select_option("7")
    expect(page.get_by_text("The history cannot be read")).to_be_visible()
    own_server.start()
    expect(page.get_by_text("No task has ended")).to_be_visible()
